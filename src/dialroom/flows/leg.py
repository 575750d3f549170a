"""A phone connection as a flow sees it: something that can be answered, played to, listened to and hung up.

A flow is a task. When the caller hangs up, `Leg` implementations cancel that task; a flow needs no code for it beyond
``finally``. Nothing here knows of SIP or RTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from dialroom.media.protocol import PlayItem

Played = Literal["finished", "interrupted"]


class Leg(Protocol):
    """One party's connection. Every method may raise `LegGone` once the connection is over."""

    @property
    def id(self) -> str:
        """The media plane's name of this leg."""
        ...

    async def answer(self) -> None:
        """Takes the call; sound flows from here on. Answering twice changes nothing."""

    async def reject(self, status: int, reason: str) -> None:
        """Refuses the call with a SIP status, before it was answered. The flow is over."""

    async def play(self, items: Sequence[PlayItem], *, barge_in: bool = False) -> Played:
        """Plays to the caller and returns when it was heard. With ``barge_in`` a digit, also one already typed and not
        yet read, stops it: ``interrupted``."""
        ...

    async def play_forever(self, items: Sequence[PlayItem]) -> None:
        """Starts playing in a loop and returns at once; the next `play`, `play_forever` or `stop` ends it."""

    async def stop(self) -> None:
        """Stops what plays."""

    async def next_digit(self, timeout: float | None = None) -> str | None:
        """The next key the caller pressed (``0-9*#A-D``), or None after ``timeout`` seconds without one."""
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

    async def hang_up(self, reason: str) -> None:
        """Ends the call. Hanging up twice changes nothing."""


class LegGone(Exception):
    """The connection is over; there is nobody to talk to."""
