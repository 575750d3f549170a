"""What would become of a call: the same parts that decide a real one, asked without one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dialroom.auth.guesses import Allowed, Blocked, Guesses, Scope
from dialroom.calls.caller import caller_number
from dialroom.calls.gatekeeper import Gatekeeper
from dialroom.calls.guessing import guesser_of
from dialroom.rooms.ports import NumberStore
from dialroom.rooms.values import Number
from dialroom.routing.decide import CallFacts, Reject, decide
from dialroom.routing.explain import Explanation, explain
from dialroom.routing.gateways import Admitted
from dialroom.routing.trace import TraceStep

_WHOSE: Final[Mapping[Scope, str]] = {
    "caller": "this caller",
    "source": "this address",
    "room": "callers of this room",
    "number": "callers of this number",
    "organisation": "callers of this organisation",
}


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains calls that nobody made."""

    gatekeeper: Gatekeeper
    numbers: NumberStore
    guesses: Guesses

    async def explain(self, organisation: str | None, to: str, from_user: str, source: str) -> Explanation:
        """What would become of a call to ``to`` from the SIP user ``from_user`` at the address ``source``, as this
        organisation may know it; None: as the operator may."""
        await self.gatekeeper.refresh()
        admission = self.gatekeeper.identify_source(source)
        if not isinstance(admission, Admitted):
            return explain(admission, None, organisation)
        facts = CallFacts(to, to, admission.gateway)
        candidates = [
            each for each in await numbers_asked_for(self.numbers, facts) if organisation in (None, each.organisation)
        ]
        decision = decide(facts, candidates)
        explanation = explain(admission, decision, organisation)
        if isinstance(decision, Reject):
            return explanation
        gateway, number = admission.gateway, decision.number
        caller = caller_number(from_user, gateway.region if gateway else None)
        guesser = guesser_of(number.organisation, number.number, caller, source, gateway.id if gateway else None)
        verdict = await self.guesses.look(guesser)
        summary = explanation.summary
        if isinstance(verdict, Blocked):
            summary += " No code would be taken now: there were too many wrong ones."
        return replace(explanation, summary=summary, trace=(*explanation.trace, _wrong_tries(verdict)))


def _wrong_tries(verdict: Allowed | Blocked) -> TraceStep:
    match verdict:
        case Blocked(scope, retry_after):
            seconds = math.ceil(retry_after)
            why = f"{_WHOSE[scope]} made so many that the next code is taken in {seconds} s at the earliest"
            return TraceStep("wrong tries", "matched", why)
        case Allowed(delay) if delay:
            return TraceStep("wrong tries", "matched", f"each code is looked at {delay:.1f} s later")
    return TraceStep("wrong tries", "not_matched", "too few to slow down codes")


async def numbers_asked_for(numbers: NumberStore, facts: CallFacts) -> Sequence[Number]:
    """Every number the call may ask for, of whatever organisation."""
    spelled = dict.fromkeys(spelling for _, wanted in facts.asked_for() for spelling in wanted)
    found = await asyncio.gather(*(numbers.dialled(spelling) for spelling in spelled))
    return [number for each in found for number in each]
