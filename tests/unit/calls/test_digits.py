from dialroom.calls.digits import DigitMerger


def test_a_digit_sent_both_ways_counts_once_whichever_comes_first() -> None:
    merger = DigitMerger()
    assert merger.accept("5", "info", now=10.0)
    assert not merger.accept("5", "event", now=10.1, duration=0.1)
    assert merger.accept("5", "event", now=12.0, duration=0.1)
    assert not merger.accept("5", "info", now=12.15)


def test_a_long_press_is_one_digit_though_its_info_came_at_the_beginning() -> None:
    merger = DigitMerger()
    assert merger.accept("5", "info", now=10.0)
    assert not merger.accept("5", "event", now=12.0, duration=2.0)


def test_two_quick_presses_sent_both_ways_stay_two() -> None:
    merger = DigitMerger()
    verdicts = [
        merger.accept("1", "info", now=10.0),
        merger.accept("1", "event", now=10.05, duration=0.05),
        merger.accept("1", "info", now=10.1),
        merger.accept("1", "event", now=10.15, duration=0.05),
    ]
    assert verdicts.count(True) == 2


def test_of_two_quick_presses_the_second_counts_though_its_info_is_lost() -> None:
    merger = DigitMerger()
    assert merger.accept("1", "info", now=10.0)
    assert not merger.accept("1", "event", now=10.05, duration=0.05)
    assert merger.accept("1", "event", now=10.15, duration=0.05)


def test_the_same_key_twice_one_way_is_two_digits() -> None:
    merger = DigitMerger()
    assert merger.accept("1", "event", now=10.0, duration=0.05)
    assert merger.accept("1", "event", now=10.1, duration=0.05)


def test_different_digits_never_pair() -> None:
    merger = DigitMerger()
    assert merger.accept("1", "info", now=10.0)
    assert merger.accept("2", "event", now=10.0, duration=0.1)


def test_the_same_key_by_the_other_way_half_a_second_later_is_another_press() -> None:
    merger = DigitMerger()
    assert merger.accept("1", "event", now=10.0, duration=0.1)
    assert merger.accept("1", "info", now=10.5)


def test_memory_stays_small_under_a_flood() -> None:
    merger = DigitMerger()
    for count in range(10_000):
        merger.accept("1", "info", now=count * 0.001)
    assert len(merger._single) <= 17
