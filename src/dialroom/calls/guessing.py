"""The limits on wrong codes and PINs, as a conversation meets them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dialroom.auth.guesses import Allowed, Guesser, Guesses, Try
from dialroom.calls.caller import own_number
from dialroom.core import metrics

PATIENCE: Final = 10.0
"""Seconds a caller is kept waiting for a try, rather than turned away."""

MARGIN: Final = 0.05
"""Seconds longer: a timer that fires a millisecond early would find the counter still full."""


def guesser_of(organisation: str, number: str, caller: str, source: str, gateway: str | None) -> Guesser:
    """Who tries codes in a call to ``number``: ``caller`` as the call's record has it, ``gateway`` an id."""
    return Guesser(
        organisation=organisation, number=number, caller=own_number(caller) or None, source=source, gateway=gateway
    )


class GuessCounter:
    """`dialroom.flows.conversation.Guesses` of one call."""

    def __init__(self, limits: Guesses, guesser: Guesser) -> None:
        self._limits = limits
        self._guesser = guesser

    def of_pin(self, room: str) -> GuessCounter:
        """Those on the PIN of a room (an id)."""
        return GuessCounter(self._limits, replace(self._guesser, room=room))

    async def delay(self) -> float | None:
        """Seconds to wait before the next entry may be looked at; None if none may be."""
        verdict = await self._limits.look(self._guesser)
        if isinstance(verdict, Allowed):
            return verdict.delay
        if verdict.retry_after <= PATIENCE:
            return verdict.retry_after + MARGIN
        metrics.GUESSERS_BLOCKED.labels(verdict.scope).inc()
        return None

    async def begin(self, *, early: bool = False) -> CountedTry | None:
        """A try, if there may be one."""
        begun = await self._limits.begin(self._guesser, early=early)
        return CountedTry(self._limits, begun) if isinstance(begun, Try) else None


@dataclass(frozen=True, slots=True)
class CountedTry:
    """One try of a call."""

    limits: Guesses
    counted: Try

    async def right(self) -> None:
        """It is taken back."""
        await self.limits.right(self.counted)

    async def wrong(self) -> None:
        """It stays counted."""
        await self.limits.wrong(self.counted)
