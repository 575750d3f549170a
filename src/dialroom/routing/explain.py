"""What would happen to a call, without one: for ``dialroom route`` and the API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dialroom.core.errors import Invalid
from dialroom.routing.decide import AskForCode, Decision, JoinRoom, Reject
from dialroom.routing.gateways import Admission, MustAuthenticate, Stranger, parse_address
from dialroom.routing.trace import TraceStep, as_seen_by
from dialroom.sip.errors import SipError
from dialroom.sip.uri import parse_uri

Outcome = Literal["ask_for_code", "join_room", "reject", "challenge", "stranger"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of a call; ``summary`` is one sentence for people."""

    outcome: Outcome
    summary: str
    trace: tuple[TraceStep, ...]


def asked_user(text: str) -> str:
    """The SIP user of a question: a URI's, as phones show and take it, else the text itself. Raises Invalid."""
    text = text.strip()
    if not text.lower().startswith(("sip:", "sips:", "tel:")):
        return text
    try:
        return parse_uri(text).username
    except SipError as error:
        raise Invalid(f"{text!r}: {error}.", "Write the number, or sip:1000@example.com.") from error


def asked_source(text: str) -> str:
    """The address a call is said to come from. Raises Invalid: no call comes from a name."""
    if parse_address(text.strip()) is None:
        raise Invalid(f"{text!r} is not an IP address.", "Write it as 198.51.100.7.", "source")
    return text.strip()


def explain(admission: Admission, decision: Decision | None, organisation: str | None = None) -> Explanation:
    """In words. ``decision`` is None exactly when the call was not admitted. With an ``organisation``, only what that
    one may know; without, all."""
    explanation = _explain(admission, decision, organisation)
    if organisation is None:
        return explanation
    return replace(explanation, trace=as_seen_by(organisation, explanation.trace))


def _explain(admission: Admission, decision: Decision | None, organisation: str | None) -> Explanation:
    if isinstance(admission, Stranger):
        return Explanation("stranger", f"The call would be refused: {admission.trace[-1].why}.", admission.trace)
    if isinstance(admission, MustAuthenticate):
        names = [each.name for each in admission.gateways if organisation in (None, each.organisation)]
        whom = ", ".join(names) or "a gateway of another organisation"
        summary = f"The caller would have to prove by digest to be {whom}."
        return Explanation("challenge", summary, admission.trace)
    if decision is None:
        raise ValueError("an admitted call needs a decision")
    trace = admission.trace + decision.trace
    match decision:
        case AskForCode(number):
            summary = f"The call would be answered, and the caller asked for a meeting code ({number.number})."
            return Explanation("ask_for_code", summary, trace)
        case JoinRoom(number, room):
            summary = f"The call would be answered and led straight into {room} ({number.number})."
            return Explanation("join_room", summary, trace)
        case Reject(status, phrase):
            return Explanation("reject", f"The call would be refused with {status} {phrase}.", trace)
