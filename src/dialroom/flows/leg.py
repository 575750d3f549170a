"""A phone connection as a flow sees it: something that can be answered, played to, listened to and hung up.

A flow is a task. When the caller hangs up, `Leg` implementations cancel that task; a flow needs no code for it beyond
``finally``. Nothing here knows of SIP or RTP.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from dialroom.media.protocol import PlayItem

Played = Literal["finished", "interrupted"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the media plane has a caller."""

    bridge: str | None
    participant: str | None
    muted: bool


class Leg(Protocol):
    """One party's connection. Every method may raise `LegGoneError` once the connection is over."""

    @property
    def id(self) -> str:
        """The media plane's name of this leg."""
        ...

    @property
    def playing(self) -> bool:
        """Whether something plays to the caller now."""
        ...

    @property
    def handed_over(self) -> bool:
        """Whether the call goes on in the next process: a cancelled flow then leaves everything as it is."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the connection is over because something failed: nobody hung up."""
        ...

    async def answer(self) -> None:
        """Takes the call; sound flows from here on. Answering twice changes nothing."""

    async def reject(self, status: int, reason: str) -> None:
        """Refuses the call with a SIP status, before it was answered. The flow is over."""

    async def play(self, items: Sequence[PlayItem], *, barge_in: bool = False) -> Played:
        """Plays to the caller and returns when it was heard. With ``barge_in`` a digit, also one already typed and not
        yet read, stops it: ``interrupted``."""
        ...

    async def start_playing(self, items: Sequence[PlayItem], *, loop: bool = False) -> None:
        """Starts playing, replacing what plays, and returns at once."""

    async def stop(self) -> None:
        """Stops what plays."""

    async def next_digit(self, within: float | None = None) -> str | None:
        """The next key the caller pressed (``0-9*#A-D``), or None after ``within`` seconds without one."""
        ...

    def forget_digits(self) -> None:
        """Drops the digits typed so far and not yet read."""

    async def join(self, bridge: str, participant: str, *, muted: bool) -> None:
        """Puts the caller into a bridge as this participant, leaving the bridge they were in."""

    async def leave(self) -> None:
        """Takes the caller out of the bridge; they can be played to again."""

    async def mute(self, muted: bool) -> None:
        """Stops or resumes mixing the caller's voice."""

    async def gain(self, decibels: float) -> None:
        """How loud the caller hears the room, in dB (-20 to +20)."""

    async def tell_others(self, items: Sequence[PlayItem]) -> None:
        """Plays to everybody in the bridge but this caller."""

    def when_back(self, put_right: Callable[[Place], Awaitable[None]]) -> None:
        """Have this called, in place of what was named before, each time the media plane was out of reach and is back:
        it may have missed something."""

    async def hang_up(self, reason: str) -> None:
        """Ends the call. Hanging up twice changes nothing."""


class LegGoneError(Exception):
    """The connection is over; there is nobody to talk to."""
