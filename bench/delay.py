"""How much later than possible a phone hears another: added delay, beyond the 20 ms of the packet itself.

Pairs of phones, each pair in a room of its own and each phone with its own phase of the 20 ms, so that all phases
between the phones' packets and the server's rhythm occur.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.media_density import SUBJECTS, Say
from bench.process import BenchError
from bench.subjects import Subject

PAIR = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """``pairs`` of phones for ``measured`` s, of which the first 1.5 s let jitter buffers settle."""

    pairs: int = 20
    measured: float = 8.0


QUICK = Plan(pairs=4, measured=3.0)


@dataclass(frozen=True, slots=True)
class Delay:
    """Added delay in ms over all tones sent, and how many were never heard."""

    median: float
    p95: float
    longest: float
    heard: int
    missed: int


Results = dict[str, Delay | str]


async def measure(plan: Plan, say: Say) -> Results:
    """Phone to phone, for each subject that has rooms."""
    results: Results = {}
    for subject in SUBJECTS:
        if not subject.has_rooms:
            continue
        try:
            results[subject.name] = await _delay(subject, plan)
        except (BenchError, OSError) as error:
            results[subject.name] = str(error)
        say(f"  {subject.name}: {results[subject.name]}")
    return results


def summarize(delays: Sequence[float], missed: int) -> Delay:
    """Raises `BenchError` if nothing was heard."""
    if not delays:
        raise BenchError(f"none of {missed} tones was heard")
    ordered = sorted(delays)
    return Delay(
        median=percentile(ordered, 0.5),
        p95=percentile(ordered, 0.95),
        longest=ordered[-1],
        heard=len(ordered),
        missed=missed,
    )


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """The smallest value that at least ``fraction`` of the ``ordered`` values do not exceed."""
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


async def _delay(kind: type[Subject], plan: Plan) -> Delay:
    with tempfile.TemporaryDirectory(prefix="dialroom-bench-") as folder:
        async with asyncio.timeout(plan.measured + 30), kind(Path(folder)) as subject:
            arguments = ["delay", "--legs", str(plan.pairs * PAIR), "--seconds", f"{plan.measured:g}"]
            report = await load.run(
                arguments, lambda sources: subject.open_legs(sources, PAIR), subject.folder / "delay.log"
            )
    return summarize(report["delays_ms"], report["missed"])
