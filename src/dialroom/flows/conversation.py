"""What a flow has to work with: the leg, the voice, the rooms, and where to note what happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol

from dialroom.core.clock import Clock
from dialroom.flows.leg import Leg
from dialroom.flows.stages import Stage
from dialroom.flows.voice import Voice
from dialroom.rooms.directory import Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Newcomer, Number, Participant, Room

CallerKind = Literal["phone", "sip"]
"""A telephone, or a SIP device that has a name instead of a number."""


@dataclass(frozen=True, slots=True)
class DialInSettings:
    """Times in seconds; ``tries`` are wrong entries in one call, code and PIN together.

    Code and PIN are asked for until ``entry_limit`` after the call came in. ``verdict`` is how long a wrong entry takes
    to be judged at least, so that an unknown code and a wrong PIN take equally long. ``gain_step`` and ``gain_limit``
    in dB. While the database is away it is asked again each ``outage_pause``, for ``outage_limit`` at most.
    """

    tries: int = 3
    entry_limit: float = 300.0
    first_digit: float = 8.0
    pause: float = 4.0
    verdict: float = 0.5
    key_pause: float = 3.0
    wait_limit: float = 900.0
    wait_reminder: float = 90.0
    outage_pause: float = 3.0
    outage_limit: float = 30.0
    gain_step: float = 4.0
    gain_limit: float = 12.0


class Journal(Protocol):
    """The call's record, as far as a flow writes it. What is noted is stored when the call returns."""

    async def note(self, what: str, detail: str = "") -> None:
        """One step: a stable word and something for people. Never a digit."""

    async def reached(self, stage: Stage, what: str = "", detail: str = "") -> None:
        """The conversation goes on from here if the process ends; with a step, if ``what`` is given."""

    async def in_language(self, language: str) -> None:
        """The caller hears this language from now on."""

    async def seated(self, participant: Participant) -> None:
        """The caller is a participant now (again after a move)."""


class Attempt(Protocol):
    """An entry that may be looked at, counted as wrong unless `right` is said of it."""

    async def right(self) -> None:
        """It was right."""

    async def wrong(self) -> None:
        """It was wrong, or taken back."""


class Guesses(Protocol):
    """The limits on wrong tries that this call counts against: on codes, if nothing else is said."""

    def of_pin(self, room: str) -> Guesses:
        """Those on the PIN of a room (an id)."""
        ...

    async def delay(self) -> float | None:
        """How many seconds to wait before an entry may be looked at; None if none may be."""
        ...

    async def begin(self, *, early: bool = False) -> Attempt | None:
        """Ask before looking at an entry, ``early`` while it is still typed; None if it may not be."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as a participant: ``name`` is what others may see, ``number`` E.164."""

    call: str
    name: str
    number: str | None
    kind: CallerKind

    def newcomer(self) -> Newcomer:
        """The caller, about to enter a room."""
        identity = f"{self.kind}:{self.call}"
        return Newcomer(kind=self.kind, name=self.name, identity=identity, phone_number=self.number, call=self.call)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything a flow over one call works with. The call ``began`` when it came in."""

    leg: Leg
    voice: Voice
    number: Number
    caller: Caller
    rooms: Rooms
    meetings: Meetings
    guesses: Guesses
    journal: Journal
    clock: Clock
    began: datetime
    settings: DialInSettings = DialInSettings()

    async def room(self, room_id: str) -> Room:
        """A room of the number's organisation. Raises `NotFound`."""
        return await self.rooms.read(self.number.organisation, room_id)

    async def speaking(self, language: str) -> Conversation:
        """The same conversation in another language."""
        voice = self.voice.in_language(language)
        if voice.language == self.voice.language:
            return self
        await self.journal.in_language(voice.language)
        return replace(self, voice=voice)


class TurnedAwayError(Exception):
    """The caller does not get in: ``reason`` for the record, ``prompts`` say it."""

    def __init__(self, reason: str, *prompts: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.prompts = prompts
