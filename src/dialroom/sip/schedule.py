"""One next deadline for many timed things."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Protocol


class Timed(Protocol):
    """Something with a deadline. `scheduled` belongs to the schedule."""

    scheduled: float | None

    @property
    def deadline(self) -> float | None:
        """When it wants to be woken, in monotonic seconds."""
        ...


class Schedule:
    """A heap of deadlines. A deadline that moves later, or goes away, costs nothing until its old time has come."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._count = 0

    def update(self, timed: Timed) -> None:
        """Take note of a deadline that may have changed."""
        deadline = timed.deadline
        if deadline is None or (timed.scheduled is not None and timed.scheduled <= deadline):
            return
        timed.scheduled = deadline
        self._count += 1
        heapq.heappush(self._heap, (deadline, self._count, timed))

    @property
    def next(self) -> float | None:
        """When to call `due`; never later than the earliest deadline."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Timed]:
        """Everything whose deadline has come, each once; call `update` after acting on it."""
        while self._heap and self._heap[0][0] <= now:
            at, _, timed = heapq.heappop(self._heap)
            if timed.scheduled != at:
                continue
            timed.scheduled = None
            deadline = timed.deadline
            if deadline is not None and deadline <= now:
                yield timed
            else:
                self.update(timed)
