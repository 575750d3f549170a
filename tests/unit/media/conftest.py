"""A media process for each test that wants one."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dialroom.media.client import MediaClient
from dialroom.media.process import MediaProcess, MediaProcessError, MediaProcessSettings, find_binary

from .phones import Phone


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="dialroom-") as folder:
        yield Path(folder)


@pytest.fixture
async def process(data_dir: Path) -> AsyncIterator[MediaProcess]:
    try:
        find_binary()
    except MediaProcessError as error:
        pytest.skip(f"THE MEDIA PROCESS IS NOT BUILT, nothing of it is tested: {error}")
    settings = MediaProcessSettings(
        data_dir, rtp_address="127.0.0.1", rtp_ports="0", webrtc_port=0, log="text", linger=30
    )
    process = MediaProcess(settings)
    await process.ensure()
    yield process
    await process.stop()


@pytest.fixture
async def client(process: MediaProcess) -> AsyncIterator[MediaClient]:
    client = MediaClient(process.url)
    await client.connect()
    yield client
    await client.close()


@pytest.fixture
async def phones() -> AsyncIterator[list[Phone]]:
    """Four phones, each with a tone of its own."""
    phones = [await Phone.open(frequency) for frequency in (400.0, 700.0, 1100.0, 1700.0)]
    yield phones
    for phone in phones:
        phone.close()
