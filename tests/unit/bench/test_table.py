"""The table of figures says what was met, what was missed, and what a figure is worth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bench.browser_delay import BrowserDelay, match
from bench.call_setup import Memory, Results, SetUp
from bench.delay import Delay, percentile, summarize
from bench.media_density import Cell, Cost, combine
from bench.process import BenchError
from bench.table import Figures, render

GOOD = Cost(cpu=300.0, memory=16_000.0, threads=6, fed=1.0, hearing=1.0, offered=1.0)
FLOOR = Cell("UDP reflector", 1000, None)
TENS = Cell("dialroom", 1000, 10)
ONE = Cell("dialroom", 1000, 1000)
JANUS = Cell("Janus AudioBridge", 1000, 10)


def line(table: str, start: str) -> str:
    return next(row for row in table.splitlines() if row.startswith(f"| {start}"))


def density(**changes: Any) -> dict[Cell, Cost | str]:
    return {
        FLOOR: replace(GOOD, cpu=200.0, hearing=0.3),
        TENS: replace(GOOD, **changes),
        ONE: GOOD,
        JANUS: replace(GOOD, cpu=1500.0),
    }


def test_names_the_machine_and_sets_the_three_side_by_side() -> None:
    table = render("a machine", Figures(density=density()))
    assert "Measured on a machine" in table
    assert line(table, "CPU µs per leg-second: 1000 legs, rooms of 10").startswith(
        "| CPU µs per leg-second: 1000 legs, rooms of 10 | 300 | 200 | 1,500 |"
    )
    assert "×1.50 of reflector (≤ ×1.6: met), Janus ×5.0 (≥ ×4: met)" in table


def test_says_which_aim_was_missed() -> None:
    row = line(render("", Figures(density=density(cpu=400.0))), "CPU µs per leg-second: 1000 legs, rooms of 10")
    assert "×2.00 of reflector (≤ ×1.6: **missed**)" in row
    assert "Janus ×3.8 (≥ ×4: **missed**)" in row


def test_compares_one_large_room_with_rooms_of_ten() -> None:
    row = line(render("", Figures(density=density())), "CPU µs per leg-second: 1000 legs, one room")
    assert "×1.00 of rooms of ten (≤ ×1.1: met)" in row


@pytest.mark.parametrize(("changes", "mark"), [({"fed": 0.5}, "†"), ({"hearing": 0.5}, "†"), ({"offered": 0.5}, "‡")])
def test_marks_a_figure_that_was_measured_on_a_server_or_a_load_out_of_breath(
    changes: dict[str, float], mark: str
) -> None:
    table = render("", Figures(density=density(**changes)))
    assert f"300 {mark}" in table
    assert f"\n{mark} " in table


def test_does_not_call_an_aim_missed_because_the_other_was_overloaded() -> None:
    table = render("", Figures(density={**density(), JANUS: replace(GOOD, cpu=900.0, fed=0.2)}))
    assert "Janus more than ×3.0 (≥ ×4: not comparable, Janus was overloaded)" in table


def test_does_not_expect_a_reflector_to_let_all_hear_speech() -> None:
    table = render("", Figures(density=density()))
    assert "†" not in table
    assert "‡" not in table


def test_says_below_the_table_why_a_figure_is_missing() -> None:
    table = render("", Figures(density={**density(), JANUS: "not done after 25 s"}))
    assert "| 300 | 200 | – |" in table
    assert table.endswith("Janus AudioBridge, 1000 legs: not done after 25 s")


def test_shows_delays_and_tones_that_were_never_heard() -> None:
    delays: dict[str, Delay | str] = {"dialroom": Delay(41.0, 60.0, 80.0, 9, 1), "Janus AudioBridge": "no janus"}
    browser = BrowserDelay(arrived=Delay(30.0, 35.0, 40.0, 10, 0), heard=Delay(90.0, 120.0, 130.0, 10, 0), output=35.0)
    table = render("", Figures(phone_delay=delays, browser=browser))
    assert "41.0 (60.0), 1 of 10 tones not heard" in table
    assert "median 41.0 (≤ 40: **missed**)" in table
    assert "until it arrives, median (p95), ms | 30.0 (35.0) |  |  | median 30.0 (≤ 40: met) |" in table
    assert "until Chromium plays it, median (p95), ms | 90.0 (120.0), 35 of it sound output |  |  |  |" in table
    assert "phone → phone, Janus AudioBridge: no janus" in table


def test_says_why_there_is_no_figure_of_a_browser() -> None:
    table = render("", Figures(browser="chromium is not installed"))
    assert "until it arrives, median (p95), ms | – |" in table
    assert table.endswith("phone → browser: chromium is not installed")


def test_judges_fifty_calls_per_second_and_shows_both_planes_memory() -> None:
    rates: dict[int, SetUp | str] = {50: SetUp(300, 2, 0, 4.0, 9.0, 5000.0), 100: "too slow"}
    memory = Memory(100_000_000, 40_000.0, 9_000_000, 20_000.0, 200)
    table = render("", Figures(calls=Results(rates, memory)))
    assert "| 298 of 300, 4 / 9 |" in table
    assert "2 failed (none: **missed**)" in table
    assert "| 100 + 9 |" in table
    assert "| 40.0 + 20.0 |" in table
    assert "100 calls/s: too slow" in table


def test_rounds_with_a_full_load_count_and_others_only_if_there_are_none() -> None:
    rounds = [replace(GOOD, cpu=cpu, offered=offered) for cpu, offered in [(100, 1.0), (120, 0.99), (900, 0.4)]]
    assert combine(rounds).cpu == 110
    assert combine(rounds).offered == 0.4
    assert combine(rounds[2:]).cpu == 900


def test_percentiles_are_values_that_were_measured() -> None:
    assert [percentile([1, 2, 3, 4], share) for share in (0.0, 0.5, 0.75, 0.99)] == [1, 2, 3, 4]


def test_nothing_heard_is_no_delay_of_zero() -> None:
    with pytest.raises(BenchError, match="none of 7 tones"):
        summarize([], 7)


def test_tones_heard_by_a_browser_are_matched_to_those_sent_before() -> None:
    found = match([1000.0, 2000.0, 3000.0], [990.0, 1080.0, 2100.0, 9000.0])
    assert (found.heard, found.missed, found.longest) == (2, 1, 100.0)
