"""Why a call was decided as it was, in steps a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["matched", "not_matched", "decided"]


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One thing that was looked at: ``subject`` names it (``gateway gw_…``, ``number +1…``), ``why`` says the rest."""

    subject: str
    verdict: Verdict
    why: str
