"""Who calls, as routing, records and other participants know them.

The caller is the identity a gateway asserts (RFC 3325) if there is one, else From; nobody, if privacy is asked for
(RFC 3323). A user part that can be dialled (digits,
however grouped, in any plan) is a telephone: ``phone``; so is one that withholds itself. Any other is the name of a
SIP device: ``sip``. Telephone numbers are shown masked; names are shown, but never one that holds a number or an
address.
"""

from __future__ import annotations

import re
from typing import Final

from dialroom.calls.record import CallRecord
from dialroom.core.numbers import is_e164, mask_number, number_from_sip_user
from dialroom.flows.conversation import Caller, CallerKind
from dialroom.sip.facts import RequestFacts

MAX_SHOWN: Final = 60
_WITHHELD: Final = frozenset({"", "anonymous", "unavailable", "restricted", "unknown"})
_PRIVACY: Final = frozenset({"id", "user", "header"})
"""Privacy values that want the caller's identity withheld (RFC 3323 §4.2, RFC 3325 §9.3)."""
_DIALLABLE: Final = re.compile(r"\+?[0-9*#][0-9*# ().\-]*", re.ASCII)
_NAMELESS: Final = {"phone": "Phone", "sip": "SIP device"}


def identity_of(facts: RequestFacts, *, trusted: bool) -> tuple[str, str]:
    """The caller's user part and display name. `trusted`: a gateway said so, whose assertions count (RFC 3325 §5)."""
    wanted = {value.strip().lower() for value in re.split("[;,]", facts.header("privacy") or "")}
    if wanted & _PRIVACY:
        return "", ""
    asserted = facts.asserted_user if trusted else None
    return asserted or facts.from_user, facts.from_display_name


def caller_number(user: str, region: str | None) -> str:
    """E.164 where it is a number (national ones as in ``region``), else the user as given; "" if it is withheld."""
    if user.lower() in _WITHHELD:
        return ""
    return number_from_sip_user(user, region) or user[:64]


def own_number(user: str) -> str:
    """What `caller_number` gave if it tells one caller from another; "" for a name: a PBX may give all its callers the
    same name, but hardly the same number."""
    return user if _DIALLABLE.fullmatch(user) else ""


def caller_of(record: CallRecord) -> Caller:
    """The caller of a call as a participant."""
    number = record.from_number if is_e164(record.from_number) else None
    return Caller(record.id, shown_name(record), number, caller_kind(record))


def caller_kind(record: CallRecord) -> CallerKind:
    """A telephone or a SIP device."""
    user = record.from_number
    return "phone" if not user or _DIALLABLE.fullmatch(user) else "sip"


def shown_name(record: CallRecord) -> str:
    """What others in the room see: the caller's name, else a SIP device's user or a telephone's masked number."""
    kind = caller_kind(record)
    for said in (record.from_name, record.from_number if kind == "sip" else ""):
        name = "".join(letter for letter in said if letter.isprintable()).strip()[:MAX_SHOWN].rstrip()
        if name and "@" not in name and not _holds_number(name, kind):
            return name
    masked = mask_number(record.from_number)
    return masked if kind == "phone" and any(letter.isdigit() for letter in masked) else _NAMELESS[kind]


def _holds_number(name: str, kind: CallerKind) -> bool:
    """A telephone's name with a digit may be its number; a SIP device may be called ``room 12``."""
    digits = sum(letter.isdigit() for letter in name)
    return digits > 0 if kind == "phone" else digits >= 5
