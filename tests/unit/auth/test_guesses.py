from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dialroom.auth.guesses import (
    BUDGETS,
    MAX_DELAY,
    REGULAR_FOR,
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
from dialroom.core.ids import new_id
from dialroom.rooms.codes import code_length
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from tests.support.clock import NOON, ManualClock
from tests.support.store import open_sqlite_store
from tests.unit.calls.memory_calls import call_record


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
    return Counter(scope, "key", NOON + wrong * BUDGETS[scope].drain)


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
    assert verdicts[-1] == Blocked(scope, budget.drain.total_seconds())


def test_what_is_full_takes_the_next_try_when_one_has_drained() -> None:
    full, drain = _counter("number", BUDGETS["number"].blocked_from), BUDGETS["number"].drain
    assert drain == timedelta(seconds=9)
    assert judge([full], NOON + timedelta(seconds=8)) == Blocked("number", 1.0)
    assert judge([full], NOON + drain) == Allowed(MAX_DELAY)
    assert full.wrong(NOON + WINDOW - drain) == 1
    assert full.wrong(NOON + WINDOW) == 0
    assert judge([full], NOON + 2 * WINDOW) == Allowed()


def test_the_strictest_scope_decides() -> None:
    caller, number = _counter("caller", 7), _counter("number", BUDGETS["number"].blocked_from)
    assert judge([caller, number], NOON) == Blocked("number", BUDGETS["number"].drain.total_seconds())
    slower = judge([caller, _counter("number", 100)], NOON)
    assert isinstance(slower, Allowed)
    assert slower.delay == 2 * MAX_DELAY / 9


def test_a_number_is_not_slowed_before_a_hundred_wrong_tries_nor_later() -> None:
    assert BUDGETS["number"].slow_from == 100


@pytest.mark.parametrize(("rooms", "hours"), [(50, 18_000), (1000, 6_000), (10_000, 3_800)])
def test_guesses_among_drawn_codes_of_all_lengths_hit_a_room_once_in_so_many_hours(rooms: int, hours: int) -> None:
    chance = sum(1 / (9 * 10 ** (code_length(there) - 1)) for there in range(rooms))
    assert BUDGETS["organisation"].blocked_from * chance == pytest.approx(1 / hours, rel=0.04)


def test_an_hours_guesses_hit_a_pin_of_six_digits_once_in_ten_thousand() -> None:
    assert BUDGETS["room"].blocked_from / 10**6 <= 1e-4


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


async def fill_number(guesses: Guesses, guesser: Guesser) -> None:
    """Somebody changes the caller ID with each call until the number takes no more wrong tries."""
    for each in range(BUDGETS["number"].blocked_from):
        assert await wrong_try(guesses, replace(guesser, caller=f"+4420794{each:05}", gateway="gw_carrier"))


async def has_been_in_a_room(store: Store, guesser: Guesser, received_at: datetime = NOON) -> None:
    call = replace(
        call_record(new_id("call")),
        organisation=guesser.organisation,
        from_number=guesser.caller or "",
        received_at=received_at,
        session="sess_x",
    )
    await store.calls.save(call)


async def test_changing_the_caller_id_does_not_help(guesses: Guesses, guesser: Guesser) -> None:
    await fill_number(guesses, guesser)
    verdict = await guesses.begin(replace(guesser, caller="+4912345678", source="198.51.100.7"))
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "number"


async def test_a_regular_gets_in_whatever_others_guess(guesses: Guesses, guesser: Guesser, store: Store) -> None:
    await fill_number(guesses, guesser)
    assert isinstance(await guesses.begin(guesser), Blocked)
    await has_been_in_a_room(store, guesser)
    assert await guesses.look(guesser) == Allowed()
    assert isinstance(await guesses.begin(guesser), Try)


async def test_nobody_is_a_regular_by_calling_or_by_visits_elsewhere_or_long_ago(
    guesses: Guesses, guesser: Guesser, store: Store, theirs: Organisation
) -> None:
    await fill_number(guesses, guesser)
    await store.calls.save(
        replace(call_record(), organisation=guesser.organisation, from_number=guesser.caller or "", received_at=NOON)
    )
    await has_been_in_a_room(store, replace(guesser, organisation=theirs.id))
    await has_been_in_a_room(store, replace(guesser, caller="+442079460019"))
    await has_been_in_a_room(store, guesser, NOON - REGULAR_FOR - timedelta(seconds=1))
    assert isinstance(await guesses.begin(guesser), Blocked)


async def test_a_regular_guesses_no_more_than_others(guesses: Guesses, guesser: Guesser, store: Store) -> None:
    await has_been_in_a_room(store, guesser)
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    assert await guesses.begin(guesser) == Blocked("caller", BUDGETS["caller"].drain.total_seconds())


async def test_regulars_share_a_budget_of_their_own(guesses: Guesses, guesser: Guesser, store: Store) -> None:
    callers = [f"+4420794{each:05}" for each in range(BUDGETS["number"].blocked_from // 10 + 1)]
    regulars = [replace(guesser, caller=caller, gateway="gw_carrier") for caller in callers]
    for regular in regulars:
        await has_been_in_a_room(store, regular)
    for regular in regulars[:-1]:
        await wrong_tries(guesses, regular, 10)
    verdict = await guesses.begin(regulars[-1])
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "number"
    assert isinstance(await guesses.begin(guesser), Try)


async def test_a_carriers_address_is_everybodys(guesses: Guesses, guesser: Guesser, ours: Organisation) -> None:
    for each in range(BUDGETS["source"].blocked_from):
        number = f"+120255501{each % 4}"
        assert await wrong_try(guesses, replace(guesser, caller=None, number=number))
    verdict = await guesses.begin(replace(guesser, caller=None, number="+12025550199"))
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "source"
    assert isinstance(await guesses.begin(replace(guesser, caller=None, gateway="gw_carrier")), Try)


async def test_all_addresses_of_one_ipv6_line_are_one_source(guesses: Guesses, guesser: Guesser) -> None:
    for each in range(BUDGETS["source"].blocked_from):
        other = replace(guesser, caller=None, number=f"100{each % 4}", source=f"2001:db8:1:2::{each:x}")
        assert await wrong_try(guesses, other)
    verdict = await guesses.begin(replace(guesser, caller=None, source="2001:db8:1:2:ffff::1"))
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "source"
    assert isinstance(await guesses.begin(replace(guesser, caller=None, source="2001:db8:1:3::1")), Try)


async def test_wrong_pins_of_a_room_keep_nobody_from_other_rooms(guesses: Guesses, guesser: Guesser) -> None:
    for each in range(BUDGETS["room"].blocked_from):
        other = replace(guesser, caller=f"+4420794{each:05}", number=f"+120255501{each % 4}", room="room_x")
        assert await wrong_try(guesses, other)
    verdict = await guesses.begin(replace(guesser, room="room_x"))
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "room"
    assert isinstance(await guesses.begin(replace(guesser, room="room_y")), Try)
    assert await guesses.look(guesser) == Allowed()


async def test_a_withheld_caller_id_is_not_everybodys(guesses: Guesses, guesser: Guesser) -> None:
    withheld = replace(guesser, caller=None)
    await wrong_tries(guesses, withheld, BUDGETS["caller"].blocked_from)
    assert await guesses.look(withheld) == Allowed()


async def test_of_tries_at_once_no_more_are_let_through_than_one_line_gets(
    any_guesses: Guesses, clock: ManualClock
) -> None:
    guesser = Guesser(organisation="org_a", number="+12025550176", caller="+442079460018", source="192.0.2.1")
    begun = await asyncio.gather(*(any_guesses.begin(guesser) for _ in range(50)))
    budget = BUDGETS["caller"].blocked_from
    assert sum(isinstance(each, Try) for each in begun) == budget
    assert {each.scope for each in begun if isinstance(each, Blocked)} == {"caller"}
    (counter,) = await any_guesses._store.counters([("caller", "org_a:+442079460018")])
    assert counter.wrong(clock.now()) == budget


async def test_right_tries_at_once_leave_no_trace(any_guesses: Guesses, clock: ManualClock) -> None:
    guesser = Guesser(organisation="org_a", number="+12025550176", caller=None, source="192.0.2.1")

    async def right_try() -> None:
        begun = await any_guesses.begin(guesser)
        assert isinstance(begun, Try)
        await any_guesses.right(begun)

    await asyncio.gather(*(right_try() for _ in range(50)))
    counters = await any_guesses._store.counters([("number", "org_a:+12025550176"), ("organisation", "org_a:")])
    assert [counter.wrong(clock.now()) for counter in counters] == [0, 0]


async def test_a_try_nobody_said_anything_of_stays_counted(guesses: Guesses, guesser: Guesser) -> None:
    for _ in range(BUDGETS["caller"].blocked_from):
        assert isinstance(await guesses.begin(guesser), Try)
    assert isinstance(await guesses.begin(guesser), Blocked)


async def test_a_try_that_is_not_allowed_is_not_counted(guesses: Guesses, guesser: Guesser, store: Store) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    assert isinstance(await guesses.begin(guesser), Blocked)
    counters = await store.guesses.counters([("number", f"{guesser.organisation}:{guesser.number}")])
    assert [counter.wrong(NOON) for counter in counters] == [BUDGETS["caller"].blocked_from]


async def test_an_early_try_is_for_quiet_times_only(guesses: Guesses, guesser: Guesser) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].slow_from)
    assert await guesses.begin(guesser, early=True) is None
    verdict = await guesses.look(guesser)
    assert isinstance(verdict, Allowed)
    assert verdict.delay == pytest.approx(MAX_DELAY / 9)
    assert isinstance(await guesses.begin(guesser), Try)


async def test_an_early_try_where_everything_is_blocked_is_none_either(guesses: Guesses, guesser: Guesser) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    assert await guesses.begin(guesser, early=True) is None
    assert isinstance(await guesses.begin(guesser), Blocked)


async def test_callers_typing_right_codes_at_once_block_nobody(guesses: Guesses, guesser: Guesser) -> None:
    typing = [await guesses.begin(replace(guesser, caller=None), early=True) for _ in range(300)]
    assert sum(each is not None for each in typing) == BUDGETS["number"].slow_from
    verdict = await guesses.look(guesser)
    assert isinstance(verdict, Allowed)
    assert verdict.delay < 0.1


async def test_a_right_try_that_took_long_takes_back_no_more_than_itself(
    guesses: Guesses, guesser: Guesser, clock: ManualClock
) -> None:
    slow = await guesses.begin(guesser)
    assert isinstance(slow, Try)
    clock.set(WINDOW.total_seconds())
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    await guesses.right(slow)
    assert await wrong_try(guesses, guesser)
    assert isinstance(await guesses.begin(guesser), Blocked)


async def test_counts_survive_a_restart(tmp_path: Path, guesser: Guesser, clock: ManualClock) -> None:
    for _ in range(3):
        store = await open_sqlite_store(tmp_path / "own")
        guesses = Guesses(store.guesses, clock)
        await wrong_tries(guesses, guesser, 5)
        verdict = await guesses.look(guesser)
        await store.close()
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "caller"


async def test_a_caller_who_was_turned_away_may_try_again_one_by_one(
    guesses: Guesses, guesser: Guesser, clock: ManualClock
) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    assert isinstance(await guesses.begin(guesser), Blocked)
    clock.set(BUDGETS["caller"].drain.total_seconds())
    assert await wrong_try(guesses, guesser)
    assert isinstance(await guesses.begin(guesser), Blocked)
    clock.set(WINDOW.total_seconds())
    assert await guesses.look(guesser) == Allowed()


async def test_what_has_drained_is_forgotten(
    guesses: Guesses, guesser: Guesser, clock: ManualClock, store: Store
) -> None:
    assert await wrong_try(guesses, guesser)
    keys: list[tuple[Scope, str]] = [("caller", f"{guesser.organisation}:{guesser.caller}")]
    clock.set(BUDGETS["caller"].drain.total_seconds() - 1)
    await store.prune(clock)
    assert len(await store.guesses.counters(keys)) == 1
    clock.set(2)
    await store.prune(clock)
    assert await store.guesses.counters(keys) == ()


async def test_one_organisation_cannot_use_up_anothers_budget(
    guesses: Guesses, guesser: Guesser, theirs: Organisation
) -> None:
    await wrong_tries(guesses, guesser, BUDGETS["caller"].blocked_from)
    assert await guesses.look(replace(guesser, organisation=theirs.id)) == Allowed()


async def test_the_organisation_hears_once_an_hour_that_somebody_is_guessing(
    any_guesses: Guesses, any_store: Store, organisation: Organisation, clock: ManualClock, published: list[Event]
) -> None:
    await any_store.organisations.create(organisation)
    guesser = Guesser(organisation=organisation.id, number="1000", caller=None, source="", gateway="gw_carrier")
    drain = BUDGETS["number"].drain.total_seconds()
    await wrong_tries(any_guesses, guesser, BUDGETS["number"].blocked_from)
    for _ in range(5):
        clock.set(drain)
        assert await wrong_try(any_guesses, guesser)
    assert [(event.type, event.data["scope"]) for event in published] == [("alarm.code_guessing", "number")]
    stored = await any_store.webhooks.page_events(organisation.id, "alarm.code_guessing", None, None)
    assert [event.id for event in stored.items] == [event.id for event in published]
    clock.set(WINDOW.total_seconds())
    await wrong_tries(any_guesses, guesser, BUDGETS["number"].blocked_from)
    assert len(published) == 2


async def test_of_tries_that_fill_a_number_at_once_one_tells(
    any_guesses: Guesses, any_store: Store, organisation: Organisation, published: list[Event]
) -> None:
    await any_store.organisations.create(organisation)
    guesser = Guesser(organisation=organisation.id, number="1000", caller=None, source="", gateway="gw_carrier")
    await wrong_tries(any_guesses, guesser, BUDGETS["number"].blocked_from - 1)
    last = await any_guesses.begin(guesser)
    assert isinstance(last, Try)
    await asyncio.gather(*(any_guesses.wrong(last) for _ in range(8)))
    assert len(published) == 1


async def test_the_last_try_before_the_block_that_is_right_alarms_nobody(
    guesses: Guesses, guesser: Guesser, published: list[Event]
) -> None:
    for number in range(BUDGETS["number"].blocked_from - 1):
        await wrong_try(guesses, replace(guesser, caller=f"+4420794{number:05}"))
    begun = await guesses.begin(guesser)
    assert isinstance(begun, Try)
    await guesses.right(begun)
    assert published == []
