"""Digits sent as SIP INFO: `application/dtmf-relay` ("Signal=5") and `application/dtmf` ("5").

Neither was ever standardised; this is what phones and gateways send.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

DTMF_TYPES: Final = ("application/dtmf-relay", "application/dtmf")
_SIGNAL = re.compile(r"^[ \t]*signal[ \t]*=[ \t]*(\S{1,4})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^[ \t]*duration[ \t]*=[ \t]*(\d{1,6})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_NAMES = {str(number): str(number) for number in range(10)} | {
    "10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D",
    "*": "*", "#": "#", "a": "A", "b": "B", "c": "C", "d": "D", "star": "*", "hash": "#", "pound": "#",
}  # fmt: skip
_DEFAULT_DURATION = 160


class InfoDigit(NamedTuple):
    """A digit `0`–`9`, `*`, `#`, `A`–`D`, and how long it was pressed, in ms."""

    digit: str
    duration: int


def parse_dtmf_info(content_type: str | None, body: bytes) -> InfoDigit | None:
    """The digit in an INFO body, or None when it holds none (another type, a flash, nonsense). Never raises."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    text = body[:256].decode("ascii", "replace").replace("\r", "\n")
    if kind not in DTMF_TYPES:
        return None
    signal = _SIGNAL.search(text)
    name = signal[1] if signal else text.strip() if kind == "application/dtmf" else ""
    digit = _NAMES.get(name.lower())
    if digit is None:
        return None
    duration = _DURATION.search(text)
    return InfoDigit(digit, min(int(duration[1]), 10_000) if duration else _DEFAULT_DURATION)
