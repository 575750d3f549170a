"""The built-in test phone: a SIP user agent and a leg of a media process, without a telephone.

It dials, sends digits, plays a file, records what it hears, and says what happened at every step.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from dialroom.calls.negotiation import MediaSide, NoCommonMediaError
from dialroom.core.ids import new_id
from dialroom.media.plane import MediaError, MediaPlane
from dialroom.media.protocol import (
    ConfigureLeg,
    DigitsSent,
    Event,
    Play,
    PlayClip,
    PlayItem,
    PlayTone,
    SendDigits,
    StartRecording,
    Statistics,
    StopPlayback,
    StopRecording,
)
from dialroom.net.sip_server import InviteSession, SipServer
from dialroom.net.sip_udp import local_address_towards
from dialroom.sip.address import Address
from dialroom.sip.admission import Admission, Drop
from dialroom.sip.errors import LocalError
from dialroom.sip.facts import RequestFacts
from dialroom.sip.session.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Ended,
    Failed,
    Offer,
    RemoteAnswer,
    Ringing,
    SessionEvent,
)
from dialroom.sip.uri import SipUri, parse_uri

Say = Callable[[str], None]
RING_SECONDS = 30.0


class PhoneFailure(Exception):  # noqa: N818 - named for what happened
    """The phone could not do what it was told. ``status`` is the SIP status it met, 0 if none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class TestPhone:
    """Any number of lines over one SIP socket and one media process. Nobody can call it."""

    __test__ = False

    def __init__(self, media: MediaPlane, say: Say) -> None:
        self._media = media
        self._say = say
        self._sip = SipServer(
            host="0.0.0.0",  # noqa: S104 - the address the other side reaches us at is known only when dialling
            port=0,
            admit=_admit_nobody,
            on_invite=lambda invite: invite.reject(480),
            on_refused=lambda facts, status, reason: None,
            user_agent="dialroom test phone",
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, media: MediaPlane, say: Say) -> AsyncIterator[TestPhone]:
        """A phone, for as long as the block lasts."""
        phone = cls(media, say)
        await phone._sip.start()
        try:
            yield phone
        finally:
            await phone._sip.close()

    async def dial(self, target: str, *, caller: str = "test", codecs: Sequence[str] = ()) -> Line:
        """Calls a ``sip:`` URI and returns when it was answered. Raises `PhoneFailure` when it was not."""
        uri = parse_uri(target)
        if not isinstance(uri, SipUri):
            raise PhoneFailure(f"{target}: write a SIP URI such as sip:1000@127.0.0.1")
        hop = await _address_of(uri)
        host = local_address_towards(hop.host)
        line = Line(self._media, MediaSide(host, codecs=codecs), self._say)
        try:
            await line.call(self._sip, target, _from(caller, host), hop)
        except BaseException:
            await line.hang_up()
            raise
        return line


class Line:
    """One call of the test phone."""

    def __init__(self, media: MediaPlane, side: MediaSide, say: Say) -> None:
        self._media = media
        self._side = side
        self._say = say
        self._leg = new_id("leg")
        self._invite: InviteSession | None = None
        self._following: asyncio.Task[None] | None = None
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._digits_sent = asyncio.Event()
        self._recordings: list[str] = []
        self.ended = asyncio.Event()
        self.ending = ""
        """Who ended the call, when it is over."""

    @property
    def codec(self) -> str:
        """The codec in use."""
        return self._side.codec

    async def call(self, sip: SipServer, target: str, caller: str, hop: Address) -> None:
        """Dials by way of ``hop`` and waits for the answer."""
        opened = await self._media.open_leg(self._leg, tag="test phone")
        self._media.listen(self._leg, self._on_media)
        self._side.opened(opened.address, opened.rtp_port)
        self._say(f"calling {target}")
        try:
            self._invite = sip.invite(target=target, from_=caller, sdp=self._side.offer(), hop=hop)
        except LocalError as error:
            raise PhoneFailure(f"{target}: {error}") from error
        self._following = asyncio.create_task(self._follow(self._invite))
        try:
            await asyncio.wait_for(asyncio.shield(self._answered), RING_SECONDS)
        except TimeoutError:
            raise PhoneFailure(f"nobody answered within {RING_SECONDS:g} s", 408) from None

    async def send_digits(self, digits: str) -> None:
        """Sends digits as RFC 4733 events; ``,`` pauses half a second. Returns when the last one has left."""
        self._digits_sent.clear()
        await self._media.perform(SendDigits(leg=self._leg, digits=digits))
        self._say(f"typing {len(digits)} keys")
        await asyncio.wait_for(self._digits_sent.wait(), 5.0 + len(digits))

    async def play_file(self, path: Path, *, loop: bool = False) -> None:
        """Starts speaking a WAV file (mono, 8, 16 or 48 kHz)."""
        audio = await asyncio.to_thread(path.read_bytes)
        clip = f"test/{path.name}@{hashlib.sha256(audio).hexdigest()[:12]}"
        await self._media.put_clip(clip, audio)
        await self._play([PlayClip(clip=clip)], loop)
        self._say(f"speaking {path.name}")

    async def play_tone(self, frequency: float, *, level: float = -20.0) -> None:
        """Starts a tone that lasts until `be_quiet`."""
        await self._play([PlayTone(frequency=frequency, duration=1000, level=level)], loop=True)
        self._say(f"speaking a tone of {frequency:g} Hz")

    async def be_quiet(self) -> None:
        """Stops speaking."""
        await self._media.perform(StopPlayback(leg=self._leg))

    async def record(self, path: Path, direction: Literal["heard", "told"] = "heard") -> str:
        """Starts recording into an absolute path; returns what `stop_recording` takes."""
        recording = new_id("play")
        command = StartRecording(recording=recording, leg=self._leg, path=str(path), direction=direction)
        await self._media.perform(command)
        self._recordings.append(recording)
        return recording

    async def stop_recording(self, recording: str) -> None:
        """Returns when the file is complete."""
        if recording in self._recordings:
            self._recordings.remove(recording)
            await self._media.perform(StopRecording(recording=recording))

    async def statistics(self) -> Statistics:
        """Quality so far."""
        return await self._media.leg_statistics(self._leg)

    async def hang_up(self) -> Statistics:
        """Ends the call and its media; returns the last statistics."""
        for recording in tuple(self._recordings):
            await self.stop_recording(recording)
        if self._invite is not None and not self.ended.is_set():
            if self._answered.done():
                self._invite.bye()
                self._over("we hung up")
            else:
                self._invite.cancel()
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        return await self._media.close_leg(self._leg)

    # --- inside ------------------------------------------------------------------------------------------------

    async def _play(self, items: list[PlayItem], loop: bool) -> None:
        await self._media.perform(Play(leg=self._leg, playback=new_id("play"), items=items, loop=loop))

    async def _follow(self, invite: InviteSession) -> None:
        while not self.ended.is_set():
            event = await invite.next_event()
            try:
                await self._act(invite, event)
            except (NoCommonMediaError, MediaError) as error:
                self._fail(PhoneFailure(f"the media could not be set up: {error}"))
                invite.bye()
                self._over("we gave up")

    async def _act(self, invite: InviteSession, event: SessionEvent) -> None:
        match event:
            case Ringing(status, _):
                self._say("ringing" if status == 180 else f"progress ({status})")
            case Answered(sdp):
                if sdp is None:
                    raise NoCommonMediaError("the answer has no session description")
                await self._configure(sdp)
                self._say(f"answered, {self.codec}")
                if not self._answered.done():
                    self._answered.set_result(None)
            case Offer(sdp, _) if invite.awaits_answer(event):
                invite.answer_offer(self._side.answer(sdp) if sdp else self._side.offer())
                await self._configure(None)
            case Acknowledged(sdp) | RemoteAnswer(sdp):
                if sdp is not None:
                    await self._configure(sdp)
            case Failed(status, reason):
                self._fail(PhoneFailure(f"refused with {status} {reason}".rstrip(), status))
                self.ending = f"refused with {status}"
                self.ended.set()  # it is said with the failure
            case Cancelled():
                self._over("cancelled")
            case Ended(_, by):
                self._over("the other side hung up" if by == "remote" else "the call was lost")
            case _:
                pass

    async def _configure(self, answer: bytes | None) -> None:
        if answer is not None:
            self._side.answered(answer)
        if self._side.media is not None:
            await self._media.perform(ConfigureLeg(leg=self._leg, media=self._side.media))

    def _on_media(self, event: Event) -> None:
        if isinstance(event, DigitsSent):
            self._digits_sent.set()

    def _fail(self, failure: PhoneFailure) -> None:
        if not self._answered.done():
            self._answered.set_exception(failure)

    def _over(self, ending: str) -> None:
        if not self.ended.is_set():
            self.ending = ending
            self.ended.set()
            self._say(ending)


async def _address_of(uri: SipUri) -> Address:
    port = uri.port or 5060
    try:
        found = await asyncio.get_running_loop().getaddrinfo(uri.host.strip("[]"), port, family=socket.AF_INET)
    except (OSError, UnicodeError):
        raise PhoneFailure(f"{uri.host} has no IPv4 address: is the name right?", 408) from None
    return Address(uri.transport or "udp", str(found[0][4][0]), port)


def _from(caller: str, host: str) -> str:
    """A number becomes the user of the address, anything else the name before it."""
    if re.fullmatch(r"\+?[0-9]+", caller):
        return f"sip:{caller}@{host}"
    name = re.sub(r'[\\"\x00-\x1f\x7f]', "", caller)
    return f'"{name}" <sip:phone@{host}>'


def _admit_nobody(_facts: RequestFacts) -> Admission:
    return Drop("the test phone takes no calls")
