"""Everything a story about a caller needs: a number, rooms, meetings and a scripted phone that calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dialroom.flows.conversation import Caller, Conversation, DialInSettings
from dialroom.flows.dial_in import dial_in
from dialroom.flows.stages import Arrived, Stage
from dialroom.flows.voice import Voice
from dialroom.prompts.catalogue import Clip, Prompts, known_keys
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Newcomer, Number, Participant, Room

from .phone import ScriptedPhone
from .stores import MemoryMeetings, MemoryRooms
from .time_machine import START, LoopClock

CODE = "482915736"
PIN = "90125"


class Notes:
    """A `Journal` that keeps everything."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.stage: Stage = Arrived()
        self.language: str | None = None
        self.participant: Participant | None = None

    async def note(self, what: str, detail: str = "") -> None:
        self.steps.append((what, detail))

    async def reached(self, stage: Stage, what: str = "", detail: str = "") -> None:
        self.stage = stage
        if what:
            self.steps.append((what, detail))

    async def in_language(self, language: str) -> None:
        self.language = language

    async def seated(self, participant: Participant) -> None:
        self.participant = participant

    @property
    def words(self) -> list[str]:
        return [what for what, _ in self.steps]


class CountedGuesses:
    """`Guesses` over one number in a test: blocked after ``budget`` wrong ones, ``seconds`` of delay each time.
    ``unsettled``: tries of which nobody said yet whether they were right."""

    def __init__(self, budget: int = 100, seconds: float = 0.0) -> None:
        self.budget = budget
        self.seconds = seconds
        self.wrongs = 0
        self.begun = 0
        self.unsettled = 0
        self.pins_of: list[str] = []

    def of_pin(self, room: str) -> CountedGuesses:
        self.pins_of.append(room)
        return self

    async def delay(self) -> float | None:
        return None if self.wrongs >= self.budget else self.seconds

    async def begin(self, *, early: bool = False) -> CountedAttempt | None:
        if self.wrongs >= self.budget or (early and self.seconds):
            return None
        self.wrongs += 1
        self.begun += 1
        self.unsettled += 1
        return CountedAttempt(self)


class CountedAttempt:
    """Counted until it is right."""

    def __init__(self, guesses: CountedGuesses) -> None:
        self._guesses = guesses
        self._settled = False

    async def right(self) -> None:
        await self.wrong()
        self._guesses.wrongs -= 1

    async def wrong(self) -> None:
        assert not self._settled
        self._settled = True
        self._guesses.unsettled -= 1


class BrowserConnection:
    """Somebody in a browser; nobody tells them anything here."""

    async def muted(self, muted: bool, by: str) -> None: ...

    async def hand_lowered(self) -> None: ...

    async def removed(self, reason: str) -> None: ...

    async def moved(self, participant: Participant, room: Room) -> None: ...


class StorySet:
    """One server's worth of rooms, and phones that call it."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.room_store = MemoryRooms()
        self.meeting_store = MemoryMeetings(self.room_store)
        self.rooms = Rooms(self.room_store, self.clock)
        self.meetings = Meetings(self.rooms, self.meeting_store, self.clock)
        self.prompts = silent_prompts()
        self.guesses = CountedGuesses()
        self.settings = DialInSettings()
        self.number = dial_in_number()
        self.calls: list[PhoneCall] = []

    async def room(self, *, code: str = CODE, **fields: Any) -> Room:
        return await self.rooms.create("org_a", NewRoom(name="Stand-up", code=code, **fields))

    async def browser_joins(self, room: Room, name: str = "Ada", role: Any = "guest") -> Participant:
        newcomer = Newcomer(kind="web", name=name, identity=name, role=role)
        return await self.meetings.enter(room, newcomer, BrowserConnection())

    def call(self, stage: Stage | None = None, straight_into: str | None = None) -> PhoneCall:
        call = PhoneCall(self, stage or Arrived(), straight_into)
        self.calls.append(call)
        return call

    def people(self, room: Room) -> list[str]:
        session = self.meetings.session_of(room.id)
        return [each.name for each in self.meetings.participants(session.id)] if session else []

    async def close(self) -> None:
        for call in self.calls:
            call.flow.cancel()
        await asyncio.gather(*(call.flow for call in self.calls), return_exceptions=True)
        await self.meetings.close()


class PhoneCall:
    """A phone in a conversation with the flow."""

    def __init__(self, scene: StorySet, stage: Stage, straight_into: str | None) -> None:
        self.phone = ScriptedPhone()
        self.notes = Notes()
        self.notes.stage = stage
        number = len(scene.calls) + 1
        self.conversation = Conversation(
            leg=self.phone,
            voice=Voice(scene.prompts, scene.number.language or "en"),
            number=scene.number,
            caller=Caller(call=f"call_{number}", name=f"Phone {number}", number="+12025550100", kind="phone"),
            rooms=scene.rooms,
            meetings=scene.meetings,
            guesses=scene.guesses,
            journal=self.notes,
            clock=scene.clock,
            began=scene.clock.now(),
            settings=scene.settings,
        )
        self.flow = asyncio.create_task(dial_in(self.conversation, stage, straight_into))

    async def hangs_up(self) -> None:
        """The caller puts the phone down: the flow is cancelled, as a leg does."""
        self.phone.gone = True
        self.flow.cancel()
        await asyncio.wait({self.flow})

    async def loses_the_connection(self) -> None:
        """The phone is not heard of any more: the flow is cancelled as well."""
        self.phone.lost = True
        await self.hangs_up()

    async def ends(self) -> str:
        """Waits for the flow's end; its reason."""
        async with asyncio.timeout(7200):
            return await self.flow


def dial_in_number(language: str | None = None) -> Number:
    return Number(
        id="num_story",
        organisation="org_a",
        number="+12025550176",
        display="+1 202-555-0176",
        country="US",
        language=language,
        dial_in=True,
        room=None,
        created_at=START,
    )


def silent_prompts() -> Prompts:
    def clips(language: str, wanted: Callable[[str], bool]) -> dict[str, Clip]:
        keys = [key for key in known_keys() if wanted(key)]
        return {key: Clip(f"{language}/{key}@0", Path(f"{key}.wav"), 1000) for key in keys}

    sounds = {"entry_tone", "hold_music"}
    spoken = {language: clips(language, lambda key: key not in sounds) for language in ("en", "de")}
    return Prompts({**spoken, "sounds": clips("sounds", lambda key: key in sounds)})


def at(seconds: float) -> datetime:
    """That long after the story began."""
    return START + timedelta(seconds=seconds)
