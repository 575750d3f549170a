"""Finding the number a call was made to, however the carrier writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import unquote

from dialroom.core.numbers import number_from_sip_user, without_code


class DialledNumber(Protocol):
    """What routing reads of a number. ``number`` is E.164 with ``+``, or a bare SIP user for an extension."""

    @property
    def id(self) -> str: ...
    @property
    def organisation(self) -> str: ...
    @property
    def number(self) -> str: ...
    @property
    def language(self) -> str | None: ...
    @property
    def dial_in(self) -> bool: ...
    @property
    def room(self) -> str | None: ...


def spellings(user: str, region: str | None = None) -> tuple[str, ...]:
    """The numbers a SIP user may mean, likeliest first: as E.164, then as it stands (an extension).

    ``+12025550176``, ``12025550176``, ``0012025550176`` and, with its ``region``, ``2025550176`` are one number.
    """
    called = without_code(unquote(user))
    plain = called.split(";", 1)[0].strip()[:_MAX_USER]
    e164 = number_from_sip_user(called, region)
    candidates = (e164, plain, "+" + plain if plain.isascii() and plain.isdigit() else None)
    return tuple(dict.fromkeys(each for each in candidates if each))


def find_number(wanted: Sequence[str], numbers: Sequence[DialledNumber]) -> DialledNumber | None:
    """The first of ``numbers`` that is one of the spellings ``wanted``, the likeliest spelling first."""
    for spelling in wanted:
        for number in numbers:
            if number.number == spelling:
                return number
    return None


_MAX_USER = 64
