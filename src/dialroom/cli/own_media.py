"""A media process of one's own, for the test phone: apart from the server's, on ports the system chooses."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dialroom.media.client import MediaClient
from dialroom.media.plane import MediaPlane
from dialroom.media.process import MediaProcess, MediaProcessSettings


@asynccontextmanager
async def own_media() -> AsyncIterator[MediaPlane]:
    """The link to a fresh media process, which ends with the block."""
    with tempfile.TemporaryDirectory(prefix="dialroom-phone-") as folder:
        process = MediaProcess(MediaProcessSettings(data_dir=Path(folder), rtp_ports="0", webrtc_port=0, linger=5))
        await process.ensure()
        client = MediaClient(process.url)
        try:
            await client.connect()
            yield client
        finally:
            await client.close()
            await process.stop()
