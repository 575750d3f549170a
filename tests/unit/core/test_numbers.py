from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialroom.core.errors import Invalid
from dialroom.core.numbers import (
    PhoneNumber,
    country_name,
    country_of,
    display_number,
    is_e164,
    mask_number,
    number_from_sip_user,
    parse_number,
    tel_uri,
    without_code,
)


@pytest.mark.parametrize(
    ("text", "region", "e164", "extension"),
    [
        ("+12025550176", None, "+12025550176", None),
        ("+1 (202) 555-0176", None, "+12025550176", None),
        ("202-555-0176", "US", "+12025550176", None),
        ("2025550176-123", "US", "+12025550176", "123"),
        ("+12025550176;ext=12", None, "+12025550176", "12"),
        ("+12025550176,,4711", None, "+12025550176", "4711"),
        ("tel:+12025550176", None, "+12025550176", None),
        ("020 7946 0018", "GB", "+442079460018", None),
        ("+44 20-7946-0018", None, "+442079460018", None),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, region: str | None, e164: str, extension: str | None) -> None:
    assert parse_number(text, region) == PhoneNumber(e164, extension)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("911", "US"),
        ("00442079460018", "US"),
        ("555-0176", "US"),
        ("2025550176", None),
        ("", None),
        ("+", None),
        ("+1", None),
        ("anonymous", "US"),
        ("+" + "1" * 400, None),
    ],
)
def test_what_nobody_can_dial_is_refused_with_a_way_out(text: str, region: str | None) -> None:
    with pytest.raises(Invalid) as refused:
        parse_number(text, region)
    assert refused.value.field == "number"
    assert "E.164" in refused.value.fix


@pytest.mark.parametrize(
    ("user", "region", "e164"),
    [
        ("+12025550176", None, "+12025550176"),
        ("%2B12025550176", None, "+12025550176"),
        ("12025550176", None, "+12025550176"),
        ("0012025550176", None, "+12025550176"),
        ("2025550176", "US", "+12025550176"),
        ("2025550176;phone-context=+1", None, "+12025550176"),
        ("+442079460018;npdi", None, "+442079460018"),
        ("(202) 555-0176", "US", "+12025550176"),
    ],
)
def test_a_sip_user_that_is_a_number_becomes_e164(user: str, region: str | None, e164: str) -> None:
    assert number_from_sip_user(user, region) == e164


@pytest.mark.parametrize(
    "user", ["anonymous", "", "1000", "+1;x=../..", "٣٤٥٦٧٨٩٠١٢", "1" * 400, "alice", "+1202555017６", "\r\nX: y"]
)
def test_a_sip_user_that_is_no_number_becomes_none(user: str) -> None:
    assert number_from_sip_user(user, None) is None


@pytest.mark.parametrize(
    "pauses_and_code",
    [
        ",,482913657",
        ",482913657#,,7741",
        ";482913657",
        ";,4829#",
        "p482913657",
        "pp4829#w7741",
        "W4829",
        ";postd=p4829",
    ],
)
@pytest.mark.parametrize("called", ["1000", "+12025550176", "+1-202-555-0176"])
def test_a_code_dialled_with_a_number_is_no_part_of_it(called: str, pauses_and_code: str) -> None:
    assert without_code(called + pauses_and_code) == called


@pytest.mark.parametrize(
    "user", ["", "1000", "powwow", "room12p3456", "3w1234", "100p12", "+12025550176;npdi;rn=+1202"]
)
def test_a_user_without_a_code_stays_as_it_is(user: str) -> None:
    assert without_code(user) == user


@given(st.text(max_size=80))
def test_whatever_comes_as_a_sip_user_gives_e164_or_none(user: str) -> None:
    number = number_from_sip_user(user, "US")
    assert number is None or is_e164(number)


@given(st.text(max_size=80))
def test_whatever_is_given_as_a_number_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert is_e164(parse_number(text, "DE").e164)


def test_a_masked_number_shows_country_and_last_digits_but_not_its_length() -> None:
    assert mask_number("+12025550176") == "+1 ••• 176"
    assert mask_number("+442079460018") == "+44 ••• 018"
    assert mask_number("1000") == "•••"
    assert mask_number("0301234567") == "••• 567"


def test_a_number_is_shown_as_its_country_writes_it() -> None:
    assert display_number("+442079460018") == "+44 20 7946 0018"
    assert display_number("1000") == "1000"


def test_a_number_knows_its_country() -> None:
    assert country_of("+442079460018") == "GB"
    assert country_name("GB") == "United Kingdom"
    assert country_of("+80012345678") is None
    assert country_of("1000") is None


def test_a_tel_link_dials_the_code_after_the_answer() -> None:
    assert tel_uri("+12025550176", "123456789") == "tel:+12025550176,,123456789"
    assert tel_uri("+12025550176") == "tel:+12025550176"
