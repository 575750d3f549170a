"""What becomes of a call: facts and what is configured in, a decision and its trace out. Pure.

The same function decides for a real call and explains for ``dialroom route`` and the API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dialroom.routing.gateways import InboundGateway
from dialroom.routing.numbers import DialledNumber, find_number, spellings
from dialroom.routing.trace import TraceStep


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call when it comes in. Users are the part before ``@``. ``gateway`` is who admission found."""

    request_user: str
    to_user: str
    gateway: InboundGateway | None = None

    def asked_for(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Where the call may say what it wants, and how each may be spelled: the request URI first; then To, because
        some carriers put the trunk's name into the request URI."""
        region = self.gateway.region if self.gateway else None
        places = [("request URI", spellings(self.request_user, region))]
        if self.to_user != self.request_user:
            places.append(("To", spellings(self.to_user, region)))
        return tuple(places)


@dataclass(frozen=True, slots=True)
class AskForCode:
    """Answer, and ask the caller for a code; rooms of this number's organisation are open to it."""

    number: DialledNumber
    trace: tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True)
class JoinRoom:
    """Answer, and lead the caller into this room (an id) without asking for a code; its PIN is still asked for."""

    number: DialledNumber
    room: str
    trace: tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse with a SIP status. ``reason`` is a stable word for the record."""

    status: int
    phrase: str
    reason: str
    trace: tuple[TraceStep, ...]
    number: DialledNumber | None = None


Decision = AskForCode | JoinRoom | Reject


def decide(facts: CallFacts, numbers: Sequence[DialledNumber]) -> Decision:
    """What becomes of an admitted call. ``numbers`` are (at least) all that `CallFacts.asked_for` spells."""
    trace: list[TraceStep] = []
    number = _dialled(facts, _reachable(facts, numbers, trace), trace)
    if number is None:
        trace.append(TraceStep("decision", "decided", "reject with 404: the call asks for no number of ours"))
        return Reject(404, "Not Found", "unknown_number", tuple(trace))
    if number.room is not None:
        trace.append(TraceStep("decision", "decided", f"join {number.room}: {number.number} leads straight into it"))
        return JoinRoom(number, number.room, tuple(trace))
    if not number.dial_in:
        trace.append(TraceStep("decision", "decided", f"reject with 404: {number.number} does not lead to dial-in"))
        return Reject(404, "Not Found", "number_without_dial_in", tuple(trace), number)
    trace.append(TraceStep("decision", "decided", f"ask for a code, in {number.language or 'the default language'}"))
    return AskForCode(number, tuple(trace))


def _reachable(facts: CallFacts, numbers: Sequence[DialledNumber], trace: list[TraceStep]) -> Sequence[DialledNumber]:
    gateway = facts.gateway
    if gateway is None:
        trace.append(TraceStep("gateway", "not_matched", "none; the network it comes from may call without one"))
        return numbers
    why = "only its own organisation's numbers can be reached through it"
    trace.append(TraceStep(f"gateway {gateway.name} ({gateway.id})", "matched", why, gateway.organisation))
    return [number for number in numbers if number.organisation == gateway.organisation]


def _dialled(facts: CallFacts, reachable: Sequence[DialledNumber], trace: list[TraceStep]) -> DialledNumber | None:
    for where, wanted in facts.asked_for():
        number = find_number(wanted, reachable)
        if number is not None:
            trace.append(TraceStep(f"number {number.number}", "matched", f"the {where} asks for it"))
            return number
        said = " or ".join(wanted) or "nothing"
        trace.append(TraceStep(f"number {said}", "not_matched", f"the {where} asks for it, and nobody here has it"))
    return None
