"""A server that takes calls by IPv6 speaks IPv6 to them."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

from dialroom.config import load_config
from dialroom.media.process import MediaProcessError, find_binary
from dialroom.net.sip_server import SipServer
from dialroom.server import Server
from dialroom.sip.admission import admit_all
from dialroom.sip.session.events import Answered


@pytest.fixture
def _ready() -> None:
    try:
        find_binary()
    except MediaProcessError as error:
        pytest.skip(f"THE MEDIA PROCESS IS NOT BUILT, the server is not tested: {error}")
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"THIS MACHINE HAS NO IPV6: {error}")


@pytest.mark.usefixtures("_ready")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("ours", "host"), [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")])
async def test_a_phone_hears_the_welcome_over_the_network_it_called_by(ours: str, host: str, transport: str) -> None:
    values: dict[str, Any] = {"http_port": 0, "sip_host": ours, "sip_port": 0, "webrtc_port": 0}
    family, spelt, url = (socket.AF_INET6, "IP6", "[::1]") if ":" in host else (socket.AF_INET, "IP4", host)
    caller = SipServer(host=host, port=0, admit=admit_all, on_invite=lambda _: None, on_refused=lambda *_: None)
    with (
        tempfile.TemporaryDirectory(prefix="dialroom-") as folder,
        socket.socket(family, socket.SOCK_DGRAM) as rtp,
    ):
        rtp.setblocking(False)
        rtp.bind((host, 0))
        sdp = (
            f"v=0\r\no=- 1 1 IN {spelt} {host}\r\ns=-\r\nc=IN {spelt} {host}\r\nt=0 0\r\n"
            f"m=audio {rtp.getsockname()[1]} RTP/AVP 0\r\n"
        )
        server = Server(load_config(environ={}, data_dir=Path(folder), **values))
        doors = await server.start()
        await caller.start()
        assert doors.sip_host == {"::1": "[::1]", "::": "127.0.0.1"}[ours]
        target = f"sip:1000@{url}:{server.sip.port};transport={transport}"
        call = caller.invite(target=target, from_=f"sip:+12025550100@{url}", sdp=sdp.encode())
        async with asyncio.timeout(10):
            while not isinstance(answered := await call.next_event(), Answered):
                pass
            heard, source = await asyncio.get_running_loop().sock_recvfrom(rtp, 2048)
        assert answered.sdp is not None
        assert f"c=IN {spelt} {host}\r\n".encode() in answered.sdp
        assert f"m=audio {source[1]} ".encode() in answered.sdp
        assert len(heard) == 12 + 160
        await server.stop()
        await caller.close()
