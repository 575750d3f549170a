"""Limits against crowds: records of refused calls, tones at the door of a room."""

from __future__ import annotations

from typing import Final

from dialroom.core.clock import Clock

TONE_PAUSE: Final = 1.5
"""Seconds between two entry tones in one bridge."""
_MANY_BRIDGES: Final = 4096


class Bucket:
    """Allows ``rate`` per second and ``burst`` at once."""

    def __init__(self, clock: Clock, rate: float, burst: int) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = float(burst)
        self._left = float(burst)
        self._at = clock.monotonic()

    def allow(self) -> bool:
        """Takes one out, if there is one."""
        now = self._clock.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class EntryTones:
    """Lets a tone into a bridge only if none was played there a moment ago."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def allow(self, bridge: str) -> bool:
        """Whether a tone may be played into this bridge now; if so, it counts as played."""
        now = self._clock.monotonic()
        if now - self._last.get(bridge, float("-inf")) < TONE_PAUSE:
            return False
        if len(self._last) >= _MANY_BRIDGES:
            self._last = {each: at for each, at in self._last.items() if now - at < TONE_PAUSE}
        self._last[bridge] = now
        return True
