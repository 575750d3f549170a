"""A clock that only moves when told to."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class ManualClock:
    """Starts at `NOON`. `advance` wakes sleepers in the order of their time, each at its own time."""

    def __init__(self, now: datetime = NOON) -> None:
        self._start = now
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._ticket = itertools.count()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._ticket), woken))
        await woken

    def set(self, seconds: float) -> None:
        """Go forward without letting anybody run: for code that only reads the clock."""
        self._elapsed += seconds

    async def advance(self, seconds: float) -> None:
        """Go forward; everything due in between runs as far as it gets without real time or I/O."""
        end = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, at)
            if not woken.done():
                woken.set_result(None)
            await _settle()
        self._elapsed = end

    @property
    def sleeping(self) -> int:
        """How many are asleep."""
        return sum(not woken.done() for _, _, woken in self._sleepers)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
