"""What a phone leg costs: CPU time per second and memory, for us, for a bare reflector and for Janus.

Every measurement starts the server afresh on its CPU, the load on the other one. The servers take turns, round by
round, so that whatever else happens on the machine happens to all of them; the median of the rounds counts.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import load
from bench.janus import Janus
from bench.media_plane import MediaPlane
from bench.process import BenchError
from bench.subjects import Reflector, Subject

SUBJECTS: tuple[type[Subject], ...] = (Reflector, MediaPlane, Janus)
ROOM_OF_TEN = 10
UNDISTURBED = 0.98
"""Below this fraction of the packets that should have been sent, a measurement says more about the machine."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, for how long (s); after ``patience`` seconds a measurement is given up."""

    legs: tuple[int, ...] = (100, 500, 1000)
    rounds: int = 3
    warm_up: float = 1.0
    measured: float = 2.5
    patience: float = 25.0


QUICK = Plan(legs=(20,), rounds=1, warm_up=0.5, measured=1.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One subject under one load."""

    subject: str
    legs: int
    room: int | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one measurement saw.

    ``cpu``: µs of CPU per second and leg. ``memory``: bytes per leg. ``threads``: of the server. ``fed``: fraction of
    phones that got at least 95 % of their packets. ``hearing``: fraction that heard speech.
    ``offered``: fraction of their packets that the load generator had CPU enough to send.
    """

    cpu: float
    memory: float
    threads: int
    fed: float
    hearing: float
    offered: float


Results = dict[Cell, Cost | str]


def cells(plan: Plan, subjects: Sequence[type[Subject]] = SUBJECTS) -> list[tuple[type[Subject], Cell]]:
    """All that is measured in one round, subjects side by side."""
    found = []
    for legs in plan.legs:
        for room in (ROOM_OF_TEN, legs):
            for subject in subjects:
                if subject.has_rooms:
                    found.append((subject, Cell(subject.name, legs, room)))
                elif room == ROOM_OF_TEN:
                    found.append((subject, Cell(subject.name, legs, None)))
    return found


async def measure(plan: Plan, say: Say, subjects: Sequence[type[Subject]] = SUBJECTS) -> Results:
    """Runs the plan. A cell that could not be measured has the reason in place of its cost."""
    costs: dict[Cell, list[Cost]] = {}
    failures: dict[Cell, str] = {}
    for number in range(plan.rounds):
        for subject, cell in cells(plan, subjects):
            if cell in failures:
                continue
            try:
                cost = await _cost(subject, cell, plan)
            except (BenchError, OSError) as error:
                failures[cell] = str(error)
                say(f"  {cell.subject}, {cell.legs} legs: {error}")
                continue
            costs.setdefault(cell, []).append(cost)
            say(f"  round {number + 1}: {cell.subject}, {_load(cell)}: {cost.cpu:.0f} µs per leg-second")
    results: Results = dict(failures)
    for cell, seen in costs.items():
        if cell not in failures:
            results[cell] = combine(seen)
    return results


async def _cost(kind: type[Subject], cell: Cell, plan: Plan) -> Cost:
    with tempfile.TemporaryDirectory(prefix="dialroom-bench-") as folder:
        try:
            async with asyncio.timeout(plan.patience), kind(Path(folder)) as subject:
                return await _load_and_read(subject, cell, plan)
        except TimeoutError:
            raise BenchError(f"not done after {plan.patience:g} s") from None


async def _load_and_read(subject: Subject, cell: Cell, plan: Plan) -> Cost:
    await asyncio.sleep(0.2)
    empty = subject.process.resident()
    started: list[tuple[float, float]] = []
    arguments = ["load", "--legs", str(cell.legs), "--seconds", f"{plan.measured:g}", "--warm-up", f"{plan.warm_up:g}"]
    report = await load.run(
        arguments,
        lambda sources: subject.open_legs(sources, cell.room or len(sources)),
        subject.folder / "load.log",
        measuring=lambda: started.append((subject.process.cpu_seconds(), time.monotonic())),
    )
    used = subject.process.cpu_seconds() - started[0][0]
    elapsed = time.monotonic() - started[0][1]
    resident, threads = subject.process.resident(), subject.process.threads()
    subject.process.check()
    return Cost(
        cpu=used * 1e6 / (elapsed * cell.legs),
        memory=(resident - empty) / cell.legs,
        threads=threads,
        fed=report["fed"] / cell.legs,
        hearing=report["hearing"] / cell.legs,
        offered=report["offered"],
    )


def combine(costs: Sequence[Cost]) -> Cost:
    """The median of the rounds that were not disturbed; of all, if all were. Marks are those of the worst of them."""
    good = [cost for cost in costs if cost.offered >= UNDISTURBED] or costs
    return Cost(
        cpu=median(cost.cpu for cost in good),
        memory=median(cost.memory for cost in good),
        threads=max(cost.threads for cost in good),
        fed=min(cost.fed for cost in good),
        hearing=min(cost.hearing for cost in good),
        offered=min(cost.offered for cost in costs),
    )


def _load(cell: Cell) -> str:
    if cell.room is None:
        return f"{cell.legs} legs"
    return f"{cell.legs} legs in one room" if cell.room == cell.legs else f"{cell.legs} legs in rooms of {cell.room}"
