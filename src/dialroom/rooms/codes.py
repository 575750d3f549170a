"""Dial-in codes and PINs: their shape, and how a code is drawn."""

from __future__ import annotations

import itertools
import re
import secrets
from typing import Final

from dialroom.core.errors import Invalid

MIN_CODE: Final = 4
MAX_CODE: Final = 12
_DIGITS = re.compile(r"[0-9]+")


def code_length(rooms: int) -> int:
    """Digits for a drawn code, so that an hour's guesses (docs/decisions/0013-guessing.md) stay hopeless."""
    return 9 if rooms < 50 else 10 if rooms < 1000 else 11


def draw_code(length: int) -> str:
    """A random code without leading 0 and without a pattern somebody would try first."""
    while True:
        code = str(secrets.randbelow(9 * 10 ** (length - 1)) + 10 ** (length - 1))
        if not is_trivial(code):
            return code


def is_trivial(code: str) -> bool:
    """Whether a code is a pattern: three or fewer different digits, a run up or down, or a part repeated."""
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(code)}
    repeated = any(code == code[:n] * (len(code) // n) for n in range(1, len(code) // 2 + 1) if len(code) % n == 0)
    return len(set(code)) <= 3 or len(steps) == 1 or repeated


def check_code(code: str) -> None:
    """Raise Invalid unless `code` can be dialled as a room's code."""
    if not _DIGITS.fullmatch(code) or not MIN_CODE <= len(code) <= MAX_CODE:
        raise Invalid(f"A dial-in code has {MIN_CODE} to {MAX_CODE} digits.", field="code")
    if len(set(code)) == 1:
        raise Invalid("A dial-in code of one repeated digit is guessed at once.", field="code")


def check_pin_shape(pin: str) -> None:
    """Raise Invalid unless `pin` can be dialled as a PIN."""
    if not _DIGITS.fullmatch(pin) or not 4 <= len(pin) <= 12:
        raise Invalid("A PIN has 4 to 12 digits.", field="pin")
