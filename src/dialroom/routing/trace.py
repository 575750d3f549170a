"""Why a call was decided as it was, in steps a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Verdict = Literal["matched", "not_matched", "decided"]


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One thing that was looked at: ``subject`` names it (``gateway gw_…``, ``number +1…``), ``why`` says the rest.

    ``organisation`` is set where a step tells of something that only this organisation may know.
    """

    subject: str
    verdict: Verdict
    why: str
    organisation: str | None = None


ANOTHERS = TraceStep("gateway", "matched", "another organisation's; only that one's numbers can be reached through it")


def as_seen_by(organisation: str, trace: Sequence[TraceStep]) -> tuple[TraceStep, ...]:
    """The trace without what belongs to others; that somebody else's gateway decided it is said without naming it."""
    seen: list[TraceStep] = []
    for step in trace:
        if step.organisation in (None, organisation):
            seen.append(replace(step, organisation=None))
        elif step.verdict == "matched" and ANOTHERS not in seen:
            seen.append(ANOTHERS)
    return tuple(seen)
