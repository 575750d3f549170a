"""A switchboard on real SIP sockets on loopback, with a real store of rooms in memory and the fake media plane; and a
caller who speaks SIP to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

from dialroom.auth.guesses import Counter, Guesses, Scope
from dialroom.calls.adopt import Adoption
from dialroom.calls.clips import ClipShelf
from dialroom.calls.gatekeeper import Gatekeeper
from dialroom.calls.limits import LobbyLimits
from dialroom.calls.record import CallRecord
from dialroom.calls.switchboard import Desk, Switchboard
from dialroom.core.clock import Clock, SystemClock
from dialroom.flows.conversation import DialInSettings
from dialroom.media.fake import FakeMediaPlane
from dialroom.net.sip_server import InviteSession, SipServer
from dialroom.prompts.catalogue import Clip, Prompts, known_keys
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Gateway, Number, Room
from dialroom.sip.admission import admit_all
from dialroom.sip.session.events import Answered, Ended, Failed, SessionEvent
from tests.story.support.stores import MemoryMeetings, MemoryRooms
from tests.unit.routing.values import number

from .memory_calls import MemoryCalls

OUR_NUMBER = "+12025550176"
CODE = "482915736"
E = TypeVar("E", bound=SessionEvent)

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
)


class MemoryNumbers:
    """As much of a `NumberStore` as calls need."""

    def __init__(self, *numbers: Number) -> None:
        self.numbers = numbers

    async def dialled(self, number: str) -> tuple[Number, ...]:
        return tuple(each for each in self.numbers if each.number == number)

    async def find(self, organisation: str, number: str) -> Number | None:
        return next((each for each in self.numbers if each.id == number), None)


class MemoryGateways:
    """As much of a `GatewayStore` as calls need."""

    def __init__(self) -> None:
        self.gateways: tuple[Gateway, ...] = ()

    async def list(self) -> tuple[Gateway, ...]:
        return self.gateways


class MemoryGuesses:
    """A `GuessStore` without limits."""

    def __init__(self) -> None:
        self.wrong = 0
        self.keys: list[tuple[Scope, str]] = []

    async def is_regular(self, organisation: str, caller: str, since: Any) -> bool:
        return False

    async def counters(self, keys: Any) -> tuple[Counter, ...]:
        return ()

    async def count(self, keys: Any, now: Any, allowed: Any) -> tuple[Counter, ...]:
        self.wrong += 1
        self.keys.extend(keys)
        return ()

    async def take_back(self, counted: Any) -> None:
        self.wrong -= 1

    async def alarm(self, counter: Any, event: Any, now: Any) -> bool:
        return True


class House:
    """One server's worth of calls. What is in `stores` survives `crash`."""

    def __init__(self, tmp_path: Path) -> None:
        self._tmp_path = tmp_path
        self.clock: Clock = SystemClock()
        self.media = FakeMediaPlane(strict_clips=True, auto_finish=True)
        self.calls = MemoryCalls()
        self.room_store = MemoryRooms()
        self.meeting_store = MemoryMeetings(self.room_store)
        self.numbers = MemoryNumbers(number(OUR_NUMBER))
        self.gateways = MemoryGateways()
        self.guesses = MemoryGuesses()
        self.allowed = [ip_network("127.0.0.0/8")]
        self.settings = DialInSettings(first_digit=5, pause=0.3, verdict=0.01)
        self.max_calls = 100
        self.lobby = LobbyLimits()
        self.port = 0
        self.sip: SipServer
        self.switchboard: Switchboard
        self.meetings: Meetings
        self.rooms: Rooms

    async def start(self) -> int:
        """Starts, taking up what is stored; returns how many calls that was."""
        self.rooms = Rooms(self.room_store, self.clock)
        self.meetings = Meetings(self.rooms, self.meeting_store, self.clock)
        waiting = await self.meetings.adopt()
        gatekeeper = Gatekeeper(self.gateways, self.allowed, "403", self.clock)  # type: ignore[arg-type]
        await gatekeeper.refresh()
        prompts = silent_prompts(self._tmp_path)
        clips = ClipShelf(self.media, prompts)
        clips.holds(self.media.snapshot())
        desk = Desk(
            media=self.media,
            clips=clips,
            prompts=prompts,
            rooms=self.rooms,
            meetings=self.meetings,
            numbers=self.numbers,  # type: ignore[arg-type]
            calls=self.calls,
            guesses=Guesses(self.guesses, self.clock),
            gatekeeper=gatekeeper,
            clock=self.clock,
            house="org_a",
            media_host=lambda peer: "127.0.0.1",
            dial_in=self.settings,
            max_calls=self.max_calls,
            lobby=self.lobby,
        )
        self.switchboard = Switchboard(desk)
        self.sip = SipServer(
            host="127.0.0.1",
            port=self.port,
            admit=gatekeeper.admit,
            on_invite=self.switchboard.on_invite,
            on_refused=self.switchboard.on_refused,
            credentials=gatekeeper.password,
        )
        await self.sip.start()
        self.port = self.sip.port
        running = await self.calls.running()
        return await Adoption(self.switchboard, self.sip, waiting).run(running, self.media.snapshot())

    async def stop(self) -> None:
        """A polite end."""
        await self.switchboard.stop(keep_calls=False)
        await self.meetings.close()
        await self.sip.close()
        await asyncio.sleep(0)  # sockets are closed in the loop's next turn

    async def hand_over(self) -> None:
        """The process goes, its calls stay."""
        await self.switchboard.stop(keep_calls=True)
        await self.meetings.close()
        await self.sip.close()
        await asyncio.sleep(0)  # sockets are closed in the loop's next turn

    async def room(self, **fields: Any) -> Room:
        return await self.rooms.create("org_a", NewRoom(name="Stand-up", code=CODE, **fields))

    def people(self, room: Room) -> list[str]:
        session = self.meetings.session_of(room.id)
        return [each.kind for each in self.meetings.participants(session.id)] if session else []

    @property
    def record(self) -> CallRecord:
        """The only call there is."""
        (record,) = self.calls.records.values()
        return record

    async def recorded(self, condition: Callable[[CallRecord], object]) -> CallRecord:
        """Waits until the only call's record is so."""
        await until(lambda: self.calls.records and condition(self.record))
        return self.record


class SipCaller:
    """A phone without media."""

    def __init__(self, port: int = 0) -> None:
        self.sip = SipServer(
            host="127.0.0.1", port=port, admit=admit_all, on_invite=lambda _: None, on_refused=lambda *_: None
        )
        self.invite: InviteSession

    async def start(self) -> None:
        await self.sip.start()

    async def close(self) -> None:
        await self.sip.close()

    def dial(
        self,
        port: int,
        user: str = OUR_NUMBER,
        sdp: bytes | None = OFFER,
        from_: str = "sip:+12025550100@127.0.0.1",
        **options: Any,
    ) -> None:
        target = f"sip:{user}@127.0.0.1:{port}"
        self.invite = self.sip.invite(target=target, from_=from_, sdp=sdp, **options)

    async def hears(self, kind: type[E]) -> E:
        """The next event of this kind; others are passed over."""
        async with asyncio.timeout(10):
            while True:
                event = await self.invite.next_event()
                if isinstance(event, kind):
                    return event
                assert not isinstance(event, Failed | Ended), event

    async def answered(self) -> bytes:
        """The answer's session description."""
        event = await self.hears(Answered)
        assert event.sdp is not None
        return event.sdp

    def press(self, digits: str) -> None:
        """By SIP INFO."""
        for digit in digits:
            self.invite.info("application/dtmf-relay", f"Signal={digit}\r\nDuration=100\r\n".encode())


def silent_prompts(folder: Path) -> Prompts:
    path = folder / "silence.wav"
    path.write_bytes(b"RIFF")
    clips = {key: Clip(f"en/{key}@0", path, 100) for key in known_keys()}
    return Prompts({"en": clips, "sounds": {}})


async def until(condition: Callable[[], object]) -> None:
    """Waits, a turn of the loop at a time, until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - there is no event for what a store or a fake holds
            await asyncio.sleep(0.005)
