"""Telephone numbers: E.164 in, E.164 out.

`phonenumbers` knows the world's numbering plans, but will make something of nearly anything: "911" and "0044…" read in
region US come out as numbers nobody has, and "2025550176-123" swallows its extension. So an extension is split off
first, and a number counts only if it is possible (has a length its country uses).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

import phonenumbers

from dialroom.core.countries import COUNTRY_NAMES
from dialroom.core.errors import Invalid

_MAX_TEXT = 64
_E164 = re.compile(r"\+[1-9][0-9]{2,14}")
_EXTENSION = re.compile(
    r"^(?P<number>\+?[0-9 ().\-]{6,}?)\s*(?:;ext=|,+|x|ext\.?|-)\s*(?P<extension>[0-9]{1,10})$", re.I
)
_DIALLED_ON = re.compile(r",|;(?=[0-9*#,;]|postd=)", re.I)
_PAUSE = re.compile(r"(?P<number>\+?[0-9().\- ]{3,})[pw](?=(?:[^0-9]*[0-9]){4})[0-9pw*#]+", re.I)
"""Telephones write ``p`` for a pause and ``w`` for waiting, as ``,`` and ``;``; fewer than four digits are no code."""
_NATIONAL_GROUPS = re.compile(r"[0-9]+-[0-9]+-[0-9]+|[0-9]{3}-[0-9]{4}")


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number in E.164 (``+12025550176``) and the extension behind it, if one was given."""

    e164: str
    extension: str | None = None


def is_e164(text: str) -> bool:
    """Whether `text` is written as E.164: a plus and 3 to 15 ASCII digits, the first not 0."""
    return _E164.fullmatch(text) is not None


def parse_number(text: str, region: str | None = None) -> PhoneNumber:
    """Read a number as people write it; national forms need a `region` (``"US"``).

    Raises Invalid when it is no possible number.
    """
    number, extension = _split_extension(text.strip()) if len(text) <= _MAX_TEXT else ("", None)
    e164 = _to_e164(number, region)
    if e164 is None:
        raise Invalid(
            "This is not a telephone number we can dial.",
            "Write it in E.164, for example +12025550176."
            if region is None
            else f"Write it as in {region} or in E.164.",
            field="number",
        )
    return PhoneNumber(e164, extension)


def number_from_sip_user(user: str, region: str | None = None) -> str | None:
    """The E.164 number in the user part of a SIP or tel URI, None if there is none.

    Carriers write ``+12025550176``, ``12025550176``, ``0012025550176``, a national form (give the `region`), and append
    parameters (``;npdi``, ``;phone-context=+1``). Anything else (``anonymous``, names, other digits) is no number.
    """
    if len(user) > 256:
        return None
    digits, *parameters = unquote(user).split(";")
    digits = re.sub(r"[ ().\-]", "", digits)
    if not re.fullmatch(r"\+?[0-9]{3,20}", digits, re.ASCII):
        return None
    if digits.startswith("+"):
        return _to_e164(digits, None)
    context = next((p.partition("=")[2] for p in parameters if p.lower().startswith("phone-context=+")), None)
    if context is not None:
        return _to_e164(context + digits, None)
    national = _to_e164(digits, region) if region is not None else None
    if national is not None:
        return national
    international = digits.removeprefix("00")
    return _to_e164("+" + international, None) if len(international) >= 8 else None


def without_code(user: str) -> str:
    """The SIP user (unescaped) that was called, without pauses and what is behind them: a program that is given one of
    our `tel_uri` may dial the code in it as a part of the number."""
    called = _DIALLED_ON.split(user, maxsplit=1)[0]
    pause = _PAUSE.fullmatch(called)
    return called if pause is None else pause["number"]


def mask_number(number: str) -> str:
    """The number as strangers may see it: country code and last three digits. Its length does not show."""
    if is_e164(number):
        parsed = phonenumbers.parse(number, None)
        return f"+{parsed.country_code} ••• {number[-3:]}"
    digits = re.sub(r"[^0-9]", "", number)
    return f"••• {digits[-3:]}" if len(digits) >= 6 else "•••"


def display_number(e164: str) -> str:
    """The number grouped as its country does: ``+1 202-555-0176``. Other text comes back as it is."""
    if not is_e164(e164):
        return e164
    return phonenumbers.format_number(phonenumbers.parse(e164, None), phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def tel_uri(e164: str, digits: str = "") -> str:
    """RFC 3966 URI; `digits` are dialled after the answer (two pauses first), as telephones understand it."""
    return f"tel:{e164},,{digits}" if digits else f"tel:{e164}"


def country_of(e164: str) -> str | None:
    """ISO 3166-1 code of the number's country; None for numbers of no country (``+800…``)."""
    if not is_e164(e164):
        return None
    parsed = phonenumbers.parse(e164, None)
    region = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    return region if region in COUNTRY_NAMES else None


def country_name(country: str) -> str:
    """The country's English name, or the code itself for one we do not know."""
    return COUNTRY_NAMES.get(country, country)


def _split_extension(text: str) -> tuple[str, str | None]:
    text = text.removeprefix("tel:")
    if _NATIONAL_GROUPS.fullmatch(text):
        return text, None
    match = _EXTENSION.fullmatch(text)
    if match is None:
        return text, None
    number, extension = match["number"], match["extension"]
    dash_inside = re.search(r"-\s*[0-9]+$", text) is not None and not re.fullmatch(r"\+?[0-9]{7,15}", number)
    return (text, None) if dash_inside else (number, extension)


def _to_e164(text: str, region: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        return None
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    if reason == phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
        return None
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return e164 if is_e164(e164) else None
