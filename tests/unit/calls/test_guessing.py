"""The limits on wrong codes and PINs as a call meets them, with a real store."""

from __future__ import annotations

import pytest

from dialroom.auth.guesses import BUDGETS, Allowed, Blocked, Guesses
from dialroom.calls.guessing import CountedTry, GuessCounter, guesser_of
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from tests.support.clock import ManualClock


@pytest.fixture
def guesses(store: Store, clock: ManualClock) -> Guesses:
    return Guesses(store.guesses, clock)


def counter_of(guesses: Guesses, ours: Organisation, caller: str, gateway: str | None = "gw_carrier") -> GuessCounter:
    return GuessCounter(guesses, guesser_of(ours.id, "+12025550176", caller, "192.0.2.1", gateway))


async def wrong_tries(counter: GuessCounter, count: int) -> None:
    for _ in range(count):
        begun = await counter.begin()
        assert begun is not None
        await begun.wrong()


async def test_at_a_full_number_a_caller_waits_for_the_next_try_and_one_gets_it(
    guesses: Guesses, ours: Organisation, clock: ManualClock
) -> None:
    await wrong_tries(counter_of(guesses, ours, ""), BUDGETS["number"].blocked_from)
    first, second = (counter_of(guesses, ours, caller) for caller in ("+12025550100", "+12025550101"))
    delay = await first.delay()
    assert delay is not None
    assert await second.delay() == delay
    assert await first.begin() is None
    clock.set(delay - 0.002)  # as early as a timer may fire
    assert isinstance(await first.begin(), CountedTry)
    assert await second.begin() is None


async def test_a_caller_who_guessed_too_much_is_turned_away(guesses: Guesses, ours: Organisation) -> None:
    caller = counter_of(guesses, ours, "+12025550100")
    await wrong_tries(caller, BUDGETS["caller"].blocked_from)
    assert await caller.delay() is None


async def test_a_pin_is_counted_at_its_room_and_a_code_at_its_number(guesses: Guesses, ours: Organisation) -> None:
    codes = counter_of(guesses, ours, "")
    await wrong_tries(codes.of_pin("room_x"), BUDGETS["room"].blocked_from)
    assert await codes.of_pin("room_x").begin() is None
    assert await codes.of_pin("room_x").delay() is None
    assert await codes.of_pin("room_y").begin() is not None
    assert await codes.delay() == 0.0


async def test_a_name_that_a_pbx_gives_everybody_is_not_blocked(guesses: Guesses, ours: Organisation) -> None:
    asterisk = counter_of(guesses, ours, "asterisk")
    await wrong_tries(asterisk, BUDGETS["caller"].blocked_from)
    assert await asterisk.delay() == 0.0


async def test_a_gateways_address_is_not_counted_another_is(guesses: Guesses, ours: Organisation) -> None:
    for each in range(BUDGETS["source"].blocked_from):
        number = f"100{each % 4}"
        await wrong_tries(GuessCounter(guesses, guesser_of(ours.id, number, "", "192.0.2.1", None)), 1)
    verdict = await guesses.look(guesser_of(ours.id, "+12025550176", "", "192.0.2.1", None))
    assert isinstance(verdict, Blocked)
    assert verdict.scope == "source"
    assert await counter_of(guesses, ours, "").delay() == 0.0


async def test_a_proxy_on_this_machine_brings_everybody_too(guesses: Guesses, ours: Organisation) -> None:
    for each in range(BUDGETS["source"].blocked_from):
        number = f"100{each % 4}"
        await wrong_tries(GuessCounter(guesses, guesser_of(ours.id, number, "", "127.0.0.1", None)), 1)
    assert await guesses.look(guesser_of(ours.id, "+12025550176", "", "127.0.0.1", None)) == Allowed()
