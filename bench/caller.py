"""A SIP caller whose media is somebody else's: it dials, and says where that phone is to send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.process import BenchError
from dialroom.net.sip_server import SipServer
from dialroom.sip.admission import Admission, Drop
from dialroom.sip.facts import RequestFacts
from dialroom.sip.session.events import Answered, Failed

ANSWER_SECONDS = 10.0
OFFER = """v=0\r
o=- 1 1 IN IP4 {host}\r
s=-\r
c=IN IP4 {host}\r
t=0 0\r
m=audio {port} RTP/AVP 0\r
a=ptime:20\r
"""


class Caller:
    """Makes calls until its block ends; they end with it."""

    def __init__(self) -> None:
        self._sip = SipServer(
            host="127.0.0.1",
            port=0,
            admit=_admit_nobody,
            on_invite=lambda invite: invite.reject(480),
            on_refused=lambda facts, status, reason: None,
        )

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Caller]:
        """A caller on a port of its own."""
        caller = cls()
        await caller._sip.start()
        try:
            yield caller
        finally:
            await caller._sip.close()

    async def dial(self, target: str, source: str) -> str:
        """Calls for the phone at ``source``; where it is to send. Raises `BenchError` if nobody answers."""
        host, port = source.rsplit(":", 1)
        offer = OFFER.format(host=host, port=port).encode()
        invite = self._sip.invite(target=target, from_=f"sip:bench@{host}", sdp=offer)
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                match await invite.next_event():
                    case Answered(sdp) if sdp is not None:
                        return _audio_address(sdp.decode())
                    case Failed(status, reason):
                        raise BenchError(f"{target} refused the call: {status} {reason}")


def _audio_address(sdp: str) -> str:
    host = re.search(r"^c=IN IP4 (\S+)", sdp, re.MULTILINE)
    port = re.search(r"^m=audio (\d+)", sdp, re.MULTILINE)
    if host is None or port is None:
        raise BenchError("the answer has no audio address")
    return f"{host.group(1)}:{port.group(1)}"


def _admit_nobody(_facts: RequestFacts) -> Admission:
    return Drop("the caller takes no calls")
