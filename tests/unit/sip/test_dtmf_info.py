"""Digits in INFO bodies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialroom.sip.dtmf_info import InfoDigit, parse_dtmf_info


@pytest.mark.parametrize(
    ("kind", "body", "digit"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", InfoDigit("5", 160)),
        ("application/dtmf-relay", b"Signal= 5\r\nDuration= 250\r\n", InfoDigit("5", 250)),
        ("Application/DTMF-Relay; charset=utf-8", b"signal=*\n", InfoDigit("*", 160)),
        ("application/dtmf-relay", b"Signal=11\r\nDuration=100", InfoDigit("#", 100)),
        ("application/dtmf-relay", b"Signal=d", InfoDigit("D", 160)),
        ("application/dtmf", b"#", InfoDigit("#", 160)),
        ("application/dtmf", b" 7\r\n", InfoDigit("7", 160)),
        ("application/dtmf-relay", b"Signal=1\r\nDuration=999999", InfoDigit("1", 10_000)),
        ("application/dtmf-relay", b"Signal=16", None),
        ("application/dtmf-relay", b"", None),
        ("application/dtmf-relay", b"\xff\x00Signal", None),
        ("application/dtmf", b"12345", None),
        ("text/plain", b"5", None),
        (None, b"5", None),
    ],
)
def test_a_body_gives_its_digit(kind: str | None, body: bytes, digit: InfoDigit | None) -> None:
    assert parse_dtmf_info(kind, body) == digit


@given(st.binary(max_size=300))
def test_any_garbage_gives_a_digit_or_nothing(body: bytes) -> None:
    for kind in ("application/dtmf-relay", "application/dtmf"):
        found = parse_dtmf_info(kind, body)
        assert found is None or found.digit in "0123456789*#ABCD"
