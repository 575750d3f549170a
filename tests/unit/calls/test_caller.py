"""Telephones and SIP devices, and what others see of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialroom.calls.caller import MAX_SHOWN, caller_kind, caller_number, caller_of, identity_of, own_number, shown_name
from dialroom.sip.facts import RequestFacts

from .memory_calls import call_record


@pytest.mark.parametrize(
    ("user", "region", "kind"),
    [
        ("+12025550100", None, "phone"),
        ("2025550100", "US", "phone"),
        ("(202) 555-0100", None, "phone"),
        ("1000", None, "phone"),
        ("*31#1000", None, "phone"),
        ("anonymous", None, "phone"),
        ("", None, "phone"),
        ("anna", None, "sip"),
        ("room12", None, "sip"),
        ("12a", None, "sip"),
        ("+1202555010\u0660", None, "sip"),
    ],
)
def test_who_has_digits_or_withholds_them_is_a_phone_and_who_has_a_name_a_sip_device(
    user: str, region: str | None, kind: str
) -> None:
    record = replace(call_record(), from_number=caller_number(user, region))
    assert caller_kind(record) == kind


@pytest.mark.parametrize(
    ("display", "number", "shown"),
    [
        ("Ada Lovelace", "+12025550100", "Ada Lovelace"),
        ("", "+12025550100", "+1 ••• 100"),
        ("+1 202 555 0100", "+12025550100", "+1 ••• 100"),
        ("Ada 1", "+12025550100", "+1 ••• 100"),
        ("", "1000", "Phone"),
        ("", "", "Phone"),
        ("Ada\x07\n", "+12025550100", "Ada"),
        ("ada@example.com", "alice", "alice"),
        ("Meeting room 12", "room12", "Meeting room 12"),
        ("", "room12", "room12"),
        ("+12025550100", "anna", "anna"),
        ("Anna\u202e\u200b", "anna", "Anna"),
        ("", "a1b2c3d4e5", "SIP device"),
        ("x" * 200, "anna", "x" * MAX_SHOWN),
    ],
)
def test_others_see_a_name_or_a_masked_number_and_never_the_number(display: str, number: str, shown: str) -> None:
    assert shown_name(replace(call_record(), from_name=display, from_number=number)) == shown


@pytest.mark.parametrize(
    ("privacy", "trusted", "expected"),
    [
        (None, False, ("+12025550100", "Ada")),
        (None, True, ("+12025550199", "Ada")),
        ("none", True, ("+12025550199", "Ada")),
        ("id", True, ("", "")),
        ("critical;ID", True, ("", "")),
        ("history, user", False, ("", "")),
        ("session", True, ("+12025550199", "Ada")),
    ],
)
def test_who_asks_for_privacy_is_nobody_and_whom_a_gateway_asserts_is_believed(
    privacy: str | None, trusted: bool, expected: tuple[str, str]
) -> None:
    facts = RequestFacts(
        "INVITE",
        "192.0.2.1",
        5060,
        "udp",
        from_user="+12025550100",
        from_display_name="Ada",
        asserted_user="+12025550199",
        headers=(("privacy", privacy),) if privacy else (),
    )
    assert identity_of(facts, trusted=trusted) == expected


def test_a_sip_device_has_no_phone_number() -> None:
    newcomer = caller_of(replace(call_record(), from_number="anna")).newcomer()
    assert (newcomer.kind, newcomer.name, newcomer.phone_number) == ("sip", "anna", None)
    assert newcomer.identity == "sip:call_one"


@pytest.mark.parametrize("user", ["+12025550100", "1000", "*43"])
def test_a_number_tells_one_caller_from_another(user: str) -> None:
    assert own_number(user) == user


@pytest.mark.parametrize("user", ["", "asterisk", "room 12"])
def test_a_name_may_be_everybodys(user: str) -> None:
    assert own_number(user) == ""
