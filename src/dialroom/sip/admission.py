"""Who may come in: the answers of the hook that is asked before a stranger's request leaves any trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dialroom.sip.facts import RequestFacts


@dataclass(frozen=True, slots=True)
class Admit:
    """Let it in."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Ask for digest credentials (401) in this realm."""

    realm: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this status (300–699). `reason` is for the record; the wire carries the usual phrase."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Answer nothing at all, as if nobody were here."""

    reason: str = ""


Admission = Admit | Challenge | Refuse | Drop

AdmissionHook = Callable[[RequestFacts], Admission]


def admit_all(_facts: RequestFacts) -> Admission:
    """Let everyone in; for tests and for a phone that only calls out."""
    return Admit()
