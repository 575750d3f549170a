"""One stream of digits out of two: RFC 4733 events in the media, and SIP INFO. Pure.

Some gateways send every digit both ways. The media plane reports an event when it has ended, with its duration; an INFO
may come at its beginning or at its end. So an INFO and an event are the same key press if the INFO came between
shortly before the beginning and shortly after the end. Each digit pairs with one other at most: two quick presses of
the same key stay two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["event", "info"]

SLACK: Final = 0.2
"""Seconds by which the two ways may differ."""
_REMEMBERED: Final = 16


@dataclass(frozen=True, slots=True)
class _Press:
    digit: str
    way: Way
    begins: float
    ends: float


class DigitMerger:
    """Says of each report of a digit whether it is a new key press."""

    def __init__(self) -> None:
        self._single: list[_Press] = []

    def accept(self, digit: str, way: Way, now: float, duration: float = 0.0) -> bool:
        """Whether this is a new key press. ``now`` and ``duration`` in seconds; a duration counts for events only."""
        press = _Press(digit, way, now - (duration if way == "event" else 0.0), now)
        self._single = [each for each in self._single if each.ends > now - 10.0][-_REMEMBERED:]
        for other in self._single:
            if other.way != way and other.digit == digit and _overlap(press, other):
                self._single.remove(other)
                return False
        self._single.append(press)
        return True


def _overlap(a: _Press, b: _Press) -> bool:
    return a.begins - SLACK <= b.ends and b.begins - SLACK <= a.ends
