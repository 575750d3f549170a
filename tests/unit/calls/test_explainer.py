"""What would become of a call, with a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from dialroom.auth.guesses import BUDGETS, Guesser, Guesses
from dialroom.calls.explainer import Explainer
from dialroom.calls.gatekeeper import Gatekeeper
from dialroom.core.clock import SystemClock
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from tests.support.store import open_sqlite_store
from tests.unit.routing.values import LONG_AGO, gateway, number

OURS, THEIRS = "+12025550100", "+12025550199"
CALLER = "+12025550176"


@dataclass
class Asked:
    """Two organisations, each with a number and a gateway."""

    store: Store
    guesses: Guesses
    explainer: Explainer


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    store = await open_sqlite_store(tmp_path)
    for organisation, e164, network in (("org_a", OURS, "192.0.2.0/24"), ("org_b", THEIRS, "198.51.100.0/24")):
        tenant = Organisation(id=organisation, name=organisation, token_secret="s" * 32, created_at=LONG_AGO)
        await store.organisations.create(tenant)
        await store.numbers.create(number(e164, organisation=organisation))
        await store.gateways.create(gateway(f"trunk_of_{organisation}", network, organisation=organisation))
    guesses = Guesses(store.guesses, SystemClock())
    gatekeeper = Gatekeeper(store.gateways, [ip_network("127.0.0.0/8")], "403")
    yield Asked(store, guesses, Explainer(gatekeeper, store.numbers, guesses))
    await store.close()


@pytest.mark.parametrize(
    ("to", "source", "outcome"),
    [
        (OURS, "192.0.2.1", "ask_for_code"),
        (OURS, "127.0.0.1", "ask_for_code"),
        (OURS, "198.51.100.1", "reject"),
        (THEIRS, "127.0.0.1", "reject"),
        (THEIRS, "192.0.2.1", "reject"),
        (OURS, "203.0.113.1", "stranger"),
    ],
)
async def test_an_organisation_learns_what_its_callers_would_meet_and_nothing_of_others(
    asked: Asked, to: str, source: str, outcome: str
) -> None:
    explanation = await asked.explainer.explain("org_a", to, "", source)
    assert explanation.outcome == outcome
    assert "org_b" not in repr(explanation)


async def test_a_gateway_of_another_organisation_is_not_named_but_its_effect_is_told(asked: Asked) -> None:
    explanation = await asked.explainer.explain("org_a", OURS, "", "198.51.100.1")
    assert [step.why for step in explanation.trace if step.subject == "gateway"] == [
        "another organisation's; only that one's numbers can be reached through it"
    ]


async def test_the_operator_sees_every_gateway(asked: Asked) -> None:
    explanation = await asked.explainer.explain(None, THEIRS, "", "198.51.100.1")
    assert explanation.outcome == "ask_for_code"
    assert "trunk_of_org_b" in repr(explanation)


async def test_a_caller_who_guessed_too_much_is_said_to_be_turned_away(asked: Asked) -> None:
    guesser = Guesser(organisation="org_a", number=OURS, caller=CALLER, source="127.0.0.1")
    for _ in range(BUDGETS["caller"].blocked_from):
        await asked.guesses.begin(guesser)
    blocked = await asked.explainer.explain("org_a", OURS, CALLER, "127.0.0.1")
    assert "too many wrong ones" in blocked.summary
    assert "this caller made so many that the next code is taken in" in blocked.trace[-1].why
    somebody_else = await asked.explainer.explain("org_a", OURS, "+12025550177", "127.0.0.1")
    assert "too many" not in somebody_else.summary
    assert somebody_else.trace[-1].verdict == "not_matched"
