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
    Try,
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
def any_guesses(any_store: Store, clock: ManualClock) -> Guesses:
    return Guesses(any_store.guesses, clock)


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
    assert BUDGETS["number"].blocked_from * 1000 / (9 * 10 ** (code_length(1000) - 1)) < 1e-4


async def wrong_try(guesses: Guesses, guesser: Guesser) -> bool:
    """Makes a try that is wrong, if there may be one."""
    begun = await guesses.begin(guesser)
    if isinstance(begun, Try):
        await guesses.wrong(begun)
    return isinstance(begun, Try)


async def wrong_tries(guesses: Guesses, guesser: Guesser, count: int) -> None:
    for _ in range(count):
        assert await wrong_try(guesses, guesser)


async def test_three_wrong_tries_cost_nothing(guesses: Guesses, guesser: Guesser) -> None:
    for _ in range(3):
        assert await guesses.look(guesser) == Allowed()
        assert await wrong_try(guesses, guesser)
    assert await guesses.look(guesser) == Allowed()


async def test_changing_the_caller_id_does_not_help(guesses: Guesses, guesser: Guesser) -> None:
    for number in range(BUDGETS["number"].blocked_from):
        other = replace(guesser, caller=f"+4420794{number:05}", source=f"192.0.2.{number % 250}")
        assert await wrong_try(guesses, other)
    verdict = await guesses.begin(replace(guesser, caller="+4912345678", source="198.51.100.7"))
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "number"


async def test_a_withheld_caller_id_is_not_everybodys(guesses: Guesses, guesser: Guesser) -> None:
    withheld = replace(guesser, caller=None)
    await wrong_tries(guesses, withheld, BUDGETS["caller"].blocked_from)
    assert await guesses.look(withheld) == Allowed()


async def test_of_tries_at_once_no_more_are_let_through_than_one_line_gets(any_guesses: Guesses) -> None:
    guesser = Guesser(organisation="org_a", number="+12025550176", caller="+442079460018", source="192.0.2.1")
    begun = await asyncio.gather(*(any_guesses.begin(guesser) for _ in range(50)))
    budget = BUDGETS["caller"].blocked_from
    assert sum(isinstance(each, Try) for each in begun) == budget
    assert {each.scope for each in begun if isinstance(each, Blocked)} == {"caller"}
    (counter,) = await any_guesses._store.counters([("caller", "org_a:+442079460018")])
    assert counter.wrong == budget


async def test_right_tries_at_once_leave_no_trace(any_guesses: Guesses) -> None:
    guesser = Guesser(organisation="org_a", number="+12025550176", caller=None, source="192.0.2.1")

    async def right_try() -> None:
        begun = await any_guesses.begin(guesser)
        assert isinstance(begun, Try)
        await any_guesses.right(begun)

    await asyncio.gather(*(right_try() for _ in range(50)))
    counters = await any_guesses._store.counters([("number", "org_a:+12025550176"), ("organisation", "org_a")])
    assert [counter.wrong for counter in counters] == [0, 0]


async def test_a_try_nobody_said_anything_of_stays_counted(guesses: Guesses, guesser: Guesser) -> None:
    for _ in range(BUDGETS["caller"].blocked_from):
        assert isinstance(await guesses.begin(guesser), Try)
    assert isinstance(await guesses.begin(guesser), Blocked)


async def test_a_try_that_is_not_allowed_is_not_counted(guesses: Guesses, guesser: Guesser, store: Store) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    assert isinstance(await guesses.begin(guesser), Blocked)
    counters = await store.guesses.counters([("number", f"{guesser.organisation}:{guesser.number}")])
    assert [counter.wrong for counter in counters] == [BUDGETS["caller"].blocked_from]


async def test_an_early_try_is_for_quiet_times_only(guesses: Guesses, guesser: Guesser) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].slow_from)
    assert await guesses.begin(guesser, early=True) is None
    verdict = await guesses.look(guesser)
    assert isinstance(verdict, Allowed)
    assert verdict.delay == pytest.approx(MAX_DELAY / 9)
    assert isinstance(await guesses.begin(guesser), Try)


async def test_callers_typing_right_codes_at_once_block_nobody(guesses: Guesses, guesser: Guesser) -> None:
    typing = [await guesses.begin(replace(guesser, caller=None), early=True) for _ in range(300)]
    assert sum(each is not None for each in typing) == BUDGETS["number"].slow_from
    verdict = await guesses.look(guesser)
    assert isinstance(verdict, Allowed)
    assert verdict.delay < 0.1


async def test_a_try_of_a_window_that_is_over_is_not_taken_from_the_next(
    guesses: Guesses, guesser: Guesser, clock: ManualClock, store: Store
) -> None:
    old = await guesses.begin(guesser)
    assert isinstance(old, Try)
    clock.set(WINDOW.total_seconds())
    assert await wrong_try(guesses, guesser)
    await guesses.right(old)
    counters = await store.guesses.counters([("number", f"{guesser.organisation}:{guesser.number}")])
    assert [counter.wrong for counter in counters] == [1]


async def test_counts_survive_a_restart(tmp_path: Path, guesser: Guesser, clock: ManualClock) -> None:
    for _ in range(3):
        store = await open_sqlite_store(tmp_path / "own")
        guesses = Guesses(store.guesses, clock)
        await wrong_tries(guesses, guesser, 5)
        verdict = await guesses.look(guesser)
        await store.close()
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "caller"


async def test_a_new_window_begins_when_the_old_one_is_over(
    guesses: Guesses, guesser: Guesser, clock: ManualClock
) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    assert isinstance(await guesses.begin(guesser), Blocked)
    clock.set(WINDOW.total_seconds())
    assert await guesses.look(guesser) == Allowed()
    assert await wrong_try(guesses, guesser)


async def test_one_organisation_cannot_use_up_anothers_budget(
    guesses: Guesses, guesser: Guesser, theirs: Organisation
) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    assert await guesses.look(replace(guesser, organisation=theirs.id)) == Allowed()


async def test_the_organisation_hears_once_that_somebody_is_guessing(
    guesses: Guesses, guesser: Guesser, published: list[Event]
) -> None:
    for number in range(BUDGETS["number"].blocked_from + 5):
        await wrong_try(guesses, replace(guesser, caller=f"+4420794{number:05}"))
    assert [(event.type, event.data["scope"]) for event in published] == [("alarm.code_guessing", "number")]


async def test_the_last_try_before_the_block_that_is_right_alarms_nobody(
    guesses: Guesses, guesser: Guesser, published: list[Event]
) -> None:
    for number in range(BUDGETS["number"].blocked_from - 1):
        await wrong_try(guesses, replace(guesser, caller=f"+4420794{number:05}"))
    begun = await guesses.begin(guesser)
    assert isinstance(begun, Try)
    await guesses.right(begun)
    assert published == []
