"""A whole dialroom server on loopback with a fresh data folder, both planes on the server's CPU."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import media_plane
from bench.machine import cpus
from bench.process import BenchError, Process, Reading

READY_SECONDS = 30.0
RTP_PORTS = "26000-29999"


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is. ``number`` is the demo number,"""

    control: Process
    media: Reading
    sip: str
    number: str
    api: str
    key: str


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    """The server while it runs. Raises `BenchError` if it does not start."""
    data = folder / "data"
    settings = {
        "DATA_DIR": str(data),
        "HTTP_PORT": "0",
        "SIP_HOST": "127.0.0.1",
        "SIP_PORT": "0",
        "WEBRTC_PORT": "0",
        "WEBRTC_ADDRESSES": "127.0.0.1",
        "RTP_PORTS": RTP_PORTS,
        "MEDIA_BINARY": str(media_plane.binary()),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "warning",
    }
    env = {**os.environ, "COLUMNS": "400", **{f"DIALROOM_{key}": value for key, value in settings.items()}}
    command = [sys.executable, "-m", "dialroom", "serve"]
    control = await Process.start(
        command, cpu=cpus().server, log=folder / "server.log", pipes=True, env=env, cwd=folder
    )
    try:
        said = await _until_ready(control)
        media = Reading(int((data / "media.pid").read_text()))
        yield _read(said, control, media)
        control.check()
    finally:
        await control.stop()


async def _until_ready(control: Process) -> str:
    said = ""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while "dialroom is ready" not in said:
                line = await control.stdout.readline()
                if not line:
                    await control.stop()
                    control.check()
                said += line.decode()
    except TimeoutError:
        raise BenchError(f"the server was not ready after {READY_SECONDS:g} s: {said}") from None
    return said


def _read(said: str, control: Process, media: Reading) -> Server:
    def find(pattern: str) -> str:
        found = re.search(pattern, said)
        if found is None:
            raise BenchError(f"the server did not say {pattern!r} when it started")
        return found.group(1)

    return Server(
        control=control,
        media=media,
        sip=find(r"SIP\s+sip:(\S+)"),
        number=find(r"Call\s+sip:(\+?\d+)@"),
        api=find(r"API\s+(\S+)/api/"),
        key=find(r"API key\s+(\S+)"),
    )
