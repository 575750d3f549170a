"""Numbers as clips: the right pieces in the right order."""

from __future__ import annotations

import pytest

from dialroom.prompts.numbers import RULES, number_clips, spoken_digits, spoken_number


def said(language: str, n: int, *, people: bool = False) -> str:
    return " ".join(name.removeprefix("number_") for name in spoken_number(language, n, people=people))


@pytest.mark.parametrize("language", RULES)
@pytest.mark.parametrize("people", [False, True])
def test_every_number_up_to_999_is_said_by_clips_there_are(language: str, people: bool) -> None:
    said = [spoken_number(language, n, people=people) for n in range(1000)]
    assert {clip for clips in said for clip in clips} <= number_clips(language)
    assert len(set(said)) == 1000
    assert all(1 <= len(clips) <= 3 for clips in said)


@pytest.mark.parametrize("language", RULES)
def test_no_clip_is_made_for_nothing(language: str) -> None:
    needed = {
        clip for n in range(1000) for people in (False, True) for clip in spoken_number(language, n, people=people)
    }
    assert number_clips(language) == needed


@pytest.mark.parametrize(
    ("language", "n", "clips"),
    [
        ("en", 13, "13"),
        ("en", 42, "40 2"),
        ("en", 999, "900 90 9"),
        ("fr", 71, "71"),
        ("fr", 80, "80"),
        ("fr", 99, "99"),
        ("fr", 271, "200 71"),
        ("de", 21, "1_joined 20"),
        ("de", 67, "7_joined 60"),
        ("de", 121, "100 1_joined 20"),
        ("de", 30, "30"),
        ("it", 28, "28"),
        ("es", 29, "29"),
        ("es", 31, "30_joined 1"),
        ("es", 100, "100"),
        ("es", 101, "100_joined 1"),
        ("es", 531, "500 30_joined 1"),
        ("pt", 22, "20_joined 2"),
        ("pt", 100, "100"),
        ("pt", 345, "300_joined 40_joined 5"),
        ("ja", 84, "80 4"),
        ("ja", 300, "300"),
        ("zh", 10, "10"),
        ("zh", 105, "100 5_after_hundred"),
        ("zh", 110, "100 10_after_hundred"),
        ("zh", 120, "100 20"),
        ("hi", 79, "79"),
        ("hi", 179, "100 79"),
        ("ar", 11, "11"),
        ("ar", 21, "1 20_joined"),
        ("ar", 105, "100_joined 5"),
        ("ar", 345, "300_joined 5 40_joined"),
    ],
)
def test_a_number_is_put_together_as_the_language_does(language: str, n: int, clips: str) -> None:
    assert said(language, n) == clips


@pytest.mark.parametrize(
    ("language", "n", "clips"),
    [
        ("es", 21, "21_people"),
        ("es", 31, "30_joined 1_people"),
        ("es", 231, "200_people 30_joined 1_people"),
        ("fr", 81, "81_people"),
        ("fr", 71, "71"),
        ("pt", 2, "2_people"),
        ("pt", 242, "200_joined_people 40_joined 2_people"),
        ("pt", 142, "100_joined 40_joined 2_people"),
        ("ja", 4, "4_people"),
        ("ja", 24, "20 4_people"),
        ("zh", 2, "2_people"),
        ("zh", 22, "20 2_people"),
        ("zh", 12, "12"),
        ("de", 21, "1_joined 20"),
    ],
)
def test_before_people_the_number_agrees_with_them(language: str, n: int, clips: str) -> None:
    assert said(language, n, people=True) == clips


def test_a_language_without_a_rule_gets_the_plain_one() -> None:
    assert said("nl", 121) == "100 21"


@pytest.mark.parametrize("n", [-1, 1000])
def test_a_number_out_of_range_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="0 to 999"):
        spoken_number("en", n)


def test_a_code_is_read_digit_by_digit() -> None:
    assert spoken_digits("0412") == ("number_0", "number_4", "number_1", "number_2")


@pytest.mark.parametrize("digits", ["", "12a", "٣", "1 2"])
def test_what_is_not_a_digit_cannot_be_read_out(digits: str) -> None:
    with pytest.raises(ValueError, match="digits"):
        spoken_digits(digits)
