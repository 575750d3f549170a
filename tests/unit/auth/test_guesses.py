from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dialroom.auth.guesses import (
    BUDGETS,
    MAX_DELAY,
    WINDOW,
    Allowed,
    Blocked,
    Counter,
    Guesser,
    Guesses,
    Scope,
    judge,
)
from dialroom.core.events import Event
from dialroom.rooms.codes import code_length
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from tests.support.clock import NOON, ManualClock
from tests.support.store import open_sqlite_store


@pytest.fixture
def guesses(store: Store, clock: ManualClock) -> Guesses:
    return Guesses(store.guesses, clock)


@pytest.fixture
def guesser(ours: Organisation) -> Guesser:
    return Guesser(organisation=ours.id, number="+12025550176", caller="+442079460018", source="192.0.2.1")


def _counter(scope: Scope, wrong: int) -> Counter:
    return Counter(scope, "key", wrong, NOON)


@pytest.mark.parametrize("scope", BUDGETS)
def test_a_scope_is_free_then_slower_and_slower_then_blocked(scope: Scope) -> None:
    budget = BUDGETS[scope]
    verdicts = [judge([_counter(scope, wrong)], NOON) for wrong in range(budget.blocked_from + 1)]
    delays = [verdict.delay for verdict in verdicts if isinstance(verdict, Allowed)]
    assert len(delays) == budget.blocked_from
    assert set(delays[: budget.slow_from]) == {0.0}
    assert delays[budget.slow_from] > 0
    assert delays == sorted(delays)
    assert delays[-1] == MAX_DELAY
    assert verdicts[-1] == Blocked(scope, WINDOW.total_seconds())


def test_a_window_that_is_over_counts_no_more() -> None:
    spent = _counter("number", 10_000)
    assert isinstance(judge([spent], NOON + WINDOW - timedelta(seconds=1)), Blocked)
    assert judge([spent], NOON + WINDOW) == Allowed()


def test_the_strictest_scope_decides() -> None:
    caller, number = _counter("caller", 7), _counter("number", BUDGETS["number"].blocked_from)
    assert judge([caller, number], NOON) == Blocked("number", WINDOW.total_seconds())
    slower = judge([caller, _counter("number", 100)], NOON)
    assert isinstance(slower, Allowed)
    assert slower.delay == max(1, 2) * MAX_DELAY / 9


def test_a_number_is_not_slowed_before_a_hundred_wrong_tries_nor_later() -> None:
    assert BUDGETS["number"].slow_from == 100


def test_with_a_thousand_rooms_a_numbers_budget_hits_less_than_once_in_ten_thousand() -> None:
    parallel = 100  # calls that passed the check before the last wrong try was counted
    tries = BUDGETS["number"].blocked_from + parallel
    assert tries * 1000 / (9 * 10 ** (code_length(1000) - 1)) < 1e-4


async def test_three_wrong_tries_cost_nothing(guesses: Guesses, guesser: Guesser) -> None:
    for _ in range(3):
        assert await guesses.check(guesser) == Allowed()
        assert await guesses.wrong(guesser) == Allowed()


async def test_changing_the_caller_id_does_not_help(guesses: Guesses, guesser: Guesser) -> None:
    for number in range(BUDGETS["number"].blocked_from):
        await guesses.wrong(replace(guesser, caller=f"+4420794{number:05}", source=f"192.0.2.{number % 250}"))
    verdict = await guesses.check(replace(guesser, caller="+4912345678", source="198.51.100.7"))
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "number"


async def test_a_withheld_caller_id_is_not_everybodys(guesses: Guesses, guesser: Guesser) -> None:
    withheld = replace(guesser, caller=None)
    for _ in range(BUDGETS["caller"].blocked_from):
        await guesses.wrong(withheld)
    assert await guesses.check(withheld) == Allowed()


async def test_tries_at_once_are_all_counted(guesses: Guesses, guesser: Guesser, store: Store) -> None:
    await asyncio.gather(*(guesses.wrong(guesser) for _ in range(30)))
    counters = await store.guesses.counters([("number", f"{guesser.organisation}:{guesser.number}")])
    assert [counter.wrong for counter in counters] == [30]


async def test_counts_survive_a_restart(tmp_path: Path, guesser: Guesser, clock: ManualClock) -> None:
    for _ in range(3):
        store = await open_sqlite_store(tmp_path / "own")
        guesses = Guesses(store.guesses, clock)
        for _ in range(5):
            await guesses.wrong(guesser)
        verdict = await guesses.check(guesser)
        await store.close()
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "caller"


async def test_a_new_window_begins_when_the_old_one_is_over(
    guesses: Guesses, guesser: Guesser, clock: ManualClock
) -> None:
    for _ in range(BUDGETS["caller"].blocked_from):
        await guesses.wrong(guesser)
    assert isinstance(await guesses.check(guesser), Blocked)
    clock.set(WINDOW.total_seconds())
    assert await guesses.check(guesser) == Allowed()
    assert await guesses.wrong(guesser) == Allowed()


async def test_one_organisation_cannot_use_up_anothers_budget(
    guesses: Guesses, guesser: Guesser, theirs: Organisation
) -> None:
    for _ in range(BUDGETS["caller"].blocked_from):
        await guesses.wrong(guesser)
    assert await guesses.check(replace(guesser, organisation=theirs.id)) == Allowed()


async def test_the_organisation_hears_once_that_somebody_is_guessing(
    guesses: Guesses, guesser: Guesser, published: list[Event]
) -> None:
    for number in range(BUDGETS["number"].blocked_from + 5):
        await guesses.wrong(replace(guesser, caller=f"+4420794{number:05}"))
    assert [(event.type, event.data["scope"]) for event in published] == [("alarm.code_guessing", "number")]
