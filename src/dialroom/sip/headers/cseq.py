"""CSeq and RAck (RFC 3261 §20.16, RFC 3262 §7.2)."""

from __future__ import annotations

from typing import NamedTuple

from dialroom.sip.errors import SipError
from dialroom.sip.limits import MAX_CSEQ
from dialroom.sip.text import is_token


class CSeq(NamedTuple):
    """A sequence number, below 2**32, and the method it numbers."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


class RAck(NamedTuple):
    """Which reliable provisional response a PRACK acknowledges."""

    rseq: int
    cseq: CSeq

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq}"


def parse_number(text: str, name: str, limit: int = MAX_CSEQ) -> int:
    """A decimal number no greater than `limit`. Raises SipError that names the header."""
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > limit:
        raise SipError(f"{name} is not a number in range")
    return int(text)


def parse_cseq(text: str) -> CSeq:
    """CSeq. Raises SipError."""
    parts = text.split()
    if len(parts) != 2 or not is_token(parts[1]):
        raise SipError("CSeq is malformed")
    return CSeq(parse_number(parts[0], "CSeq"), parts[1])


def parse_rack(text: str) -> RAck:
    """RAck. Raises SipError."""
    parts = text.split()
    if len(parts) != 3 or not is_token(parts[2]):
        raise SipError("RAck is malformed")
    return RAck(parse_number(parts[0], "RAck"), CSeq(parse_number(parts[1], "RAck"), parts[2]))
