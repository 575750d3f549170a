import pytest

from dialroom.routing.numbers import find_number, spellings

from .values import number


@pytest.mark.parametrize(
    "user", ["+12025550176", "12025550176", "0012025550176", "+1-202-555-0176", "+12025550176;npdi"]
)
def test_one_number_is_found_however_the_carrier_writes_it(user: str) -> None:
    assert find_number(spellings(user), [number("+12025550176")]) is not None


@pytest.mark.parametrize("user", ["+12025550176,,482913657", "+12025550176%2C%2C482913657%23", "1000p482913657"])
def test_a_number_is_found_though_the_code_of_a_one_tap_link_was_dialled_with_it(user: str) -> None:
    ours = [number("+12025550176"), number("1000")]
    assert find_number(spellings(user), ours) in ours
    assert not any("482913657" in each for each in spellings(user))


def test_a_national_form_is_found_in_its_region_only() -> None:
    ours = [number("+12025550176")]
    assert find_number(spellings("2025550176", "US"), ours) is not None
    assert find_number(spellings("2025550176"), ours) is None


def test_an_extension_is_found_as_it_stands() -> None:
    assert find_number(spellings("1000"), [number("1000")]) is not None


def test_a_number_nobody_can_have_is_still_found_if_it_is_ours() -> None:
    assert find_number(spellings("15550100"), [number("+15550100")]) is not None


@pytest.mark.parametrize("user", ["", "anonymous", "9" * 500, "+", "%00", "1202555017"])
def test_what_is_not_our_number_is_not_found(user: str) -> None:
    assert find_number(spellings(user), [number("+12025550176")]) is None
