"""The numbers that were dialled lately, kept at hand: every call asks for its number, and numbers hardly ever change.

What this process changes holds at once; what another one changes on the same database holds within `KEPT`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from dialroom.rooms.values import Number

KEPT: Final = 5.0
"""Seconds, as for gateways."""

MAX_KEPT: Final = 10_000
"""Strangers can dial anything; what they dialled is forgotten all at once."""

Found = tuple[Number, ...]


class Dialled:
    """Remembers what was found for a dialled number, also that nothing was. `now` is in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._found: dict[str, tuple[float, Found]] = {}
        self._changes = 0

    async def find(self, number: str, read: Callable[[str], Awaitable[Found]]) -> Found:
        """What was found lately, else what `read` finds. Raises what `read` raises."""
        asked_at, changes = self._now(), self._changes
        known = self._found.get(number)
        if known is not None and asked_at < known[0] + KEPT:
            return known[1]
        found = await read(number)
        if changes == self._changes:  # else it may be from before the change
            if len(self._found) >= MAX_KEPT:
                self._found.clear()
            self._found[number] = (asked_at, found)
        return found

    def changed(self) -> None:
        """Numbers have changed in the database."""
        self._changes += 1
        self._found.clear()
