"""A proxy that asks by OPTIONS whether calls are taken hears what an INVITE would get (RFC 3261 §11.2)."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dialroom.config import load_config
from dialroom.media.process import MediaProcessError, find_binary
from dialroom.server import Server
from dialroom.sip.message import Response
from dialroom.sip.parser import parse


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    try:
        find_binary()
    except MediaProcessError as error:
        pytest.skip(f"THE MEDIA PROCESS IS NOT BUILT, the server is not tested: {error}")
    values: dict[str, Any] = {"http_port": 0, "sip_host": "127.0.0.1", "sip_port": 0, "webrtc_port": 0}
    with tempfile.TemporaryDirectory(prefix="dialroom-") as folder:
        server = Server(load_config(environ={}, data_dir=Path(folder), **values))
        await server.start()
        yield server
        await server.stop()


async def options(server: Server) -> tuple[int, str | None]:
    """Status and Retry-After."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as proxy:
        proxy.setblocking(False)
        proxy.bind(("127.0.0.1", 0))
        request = (
            f"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{proxy.getsockname()[1]};branch=z9hG4bKo\r\n"
            "From: <sip:proxy@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        await loop.sock_sendto(proxy, request.encode(), ("127.0.0.1", server.sip.port))
        async with asyncio.timeout(10):
            answer = parse(await loop.sock_recv(proxy, 65_536))
    assert isinstance(answer, Response)
    return answer.status, answer.get("retry-after")


async def test_options_say_whether_calls_are_taken(server: Server) -> None:
    assert await options(server) == (200, None)
    server._store_away = True
    assert await options(server) == (503, "5")
    server._store_away = False
    assert await options(server) == (200, None)
    await server.switchboard.stop(keep_calls=True)
    assert await options(server) == (503, "5")
