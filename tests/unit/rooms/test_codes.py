from __future__ import annotations

import pytest

from dialroom.core.errors import Invalid
from dialroom.rooms.codes import check_code, check_pin_shape, code_length, draw_code, is_trivial


@pytest.mark.parametrize("length", [9, 10, 11])
def test_a_drawn_code_has_no_leading_zero_and_no_pattern(length: int) -> None:
    for _ in range(500):
        code = draw_code(length)
        assert len(code) == length
        assert code[0] != "0"
        assert not is_trivial(code)


@pytest.mark.parametrize(
    "code", ["111111111", "123456789", "987654321", "123123123", "121212121", "246802468", "112233112"]
)
def test_what_somebody_would_try_first_is_trivial(code: str) -> None:
    assert is_trivial(code)


def test_codes_grow_so_that_a_hundred_guesses_stay_hopeless() -> None:
    for rooms in (0, 49, 50, 999, 1000, 9_999):
        assert 100 * (rooms + 1) / (9 * 10 ** (code_length(rooms) - 1)) < 2e-5


@pytest.mark.parametrize("code", ["123", "1234567890123", "12a4", "１２３４", "1111", "", "12 4", "1234\n"])
def test_a_code_nobody_can_dial_is_refused(code: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_code(code)
    assert refused.value.field == "code"


@pytest.mark.parametrize("pin", ["123", "1234567890123", "12a4", "", "1234\n"])
def test_a_pin_nobody_can_dial_is_refused(pin: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_pin_shape(pin)
    assert refused.value.field == "pin"
