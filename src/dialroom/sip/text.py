"""Scanning of header text: quoted strings, lists, parameters (RFC 3261 §25.1).

Everything here is linear in its input and bounded by `limits`. Text is UTF-8 decoded with `surrogateescape`, so that
unknown bytes survive a round trip; `clean` makes such text fit for people and logs.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes

from dialroom.sip.errors import LocalError, SipError
from dialroom.sip.limits import MAX_PARAMETERS, MAX_VALUES

Parameters = tuple[tuple[str, str | None], ...]

TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_UNQUOTE = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_FORBIDDEN = re.compile(r"[\r\n\x00]")


def is_token(text: str) -> bool:
    """Whether `text` is an RFC 3261 token."""
    return TOKEN.fullmatch(text) is not None


def has_controls(text: str) -> bool:
    """Whether `text` holds an ASCII control character."""
    return _CONTROLS.search(text) is not None


def quoted_end(text: str, start: int) -> int:
    """Index just past the quoted string that opens at `start`. Raises SipError when it never closes."""
    hit = _QUOTED.match(text, start)
    if hit is None:
        raise SipError("a quoted string is not closed")
    return hit.end()


def unquote(text: str) -> str:
    """The content of a quoted string; text without quotes comes back as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        inner = text[1:-1]
        return _UNQUOTE.sub(lambda hit: hit[1], inner) if "\\" in inner else inner
    return text


def quote(text: str) -> str:
    """`text` as a quoted string. Raises LocalError on CR, LF or NUL."""
    return '"' + wire_safe(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def wire_safe(text: str) -> str:
    """`text`, known to hold no CR, LF or NUL. Raises LocalError otherwise: that is how headers get injected."""
    if _FORBIDDEN.search(text):
        raise LocalError("a value for the wire may not contain CR, LF or NUL")
    return text


def split_outside(text: str, separator: str, *, angles: bool = True) -> list[str]:
    """Split at `separator` outside of quoted strings and, if `angles`, outside of `<…>`; parts are stripped.

    Raises SipError when a quote or angle is not closed, or there are more than MAX_VALUES parts.
    """
    if '"' not in text and (not angles or "<" not in text):
        parts = text.split(separator)
    else:
        parts = _split_carefully(text, separator, angles)
    if len(parts) > MAX_VALUES:
        raise SipError("a header holds too many values")
    return [part.strip() for part in parts]


def _split_carefully(text: str, separator: str, angles: bool) -> list[str]:
    stops = re.compile(f'["<{re.escape(separator)}]' if angles else f'["{re.escape(separator)}]')
    parts: list[str] = []
    start = position = 0
    while (hit := stops.search(text, position)) is not None:
        at = hit.start()
        if text[at] == '"':
            position = quoted_end(text, at)
        elif text[at] == "<":
            position = text.find(">", at) + 1
            if position == 0:
                raise SipError("an angle bracket is not closed")
        else:
            parts.append(text[start:at])
            start = position = at + 1
    parts.append(text[start:])
    return parts


def parse_parameters(text: str, *, strict: bool = False) -> Parameters:
    """Parameters of `;name=value;flag`, names in lower case, values as they stand (quotes kept).

    Empty parameters are skipped, or with `strict` refused. Raises SipError.
    """
    if not text:
        return ()
    result: list[tuple[str, str | None]] = []
    for part in split_outside(text, ";", angles=False):
        if not part:
            if strict:
                raise SipError("an empty parameter")
            continue
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not is_token(name):
            raise SipError("a parameter name is not a token")
        result.append((name, value.strip() if equals else None))
    if len(result) > MAX_PARAMETERS:
        raise SipError("too many parameters")
    return tuple(result)


def build_parameters(parameters: Parameters) -> str:
    """`;name=value;flag` for the wire. Raises LocalError on CR, LF or NUL."""
    return "".join(
        f";{wire_safe(name)}" if value is None else f";{wire_safe(name)}={wire_safe(value)}"
        for name, value in parameters
    )


def parameter(parameters: Parameters, name: str) -> str | None:
    """The value of parameter `name` (lower case), quotes removed; None when absent, "" when it has no value."""
    for key, value in parameters:
        if key == name:
            return unquote(value) if value is not None else ""
    return None


def unescape(text: str) -> str:
    """Percent-escapes of a URI decoded as UTF-8; broken escapes stay as they are."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def clean(text: str, limit: int = 256) -> str:
    """`text` for people, JSON and logs: no control, format (bidi) or undecodable characters, at most `limit` long."""
    if text.isascii() and text.isprintable():
        return text[:limit]
    kept = (
        "�" if 0xD800 <= ord(char) <= 0xDFFF else char
        for char in text[: 4 * limit]
        if unicodedata.category(char) not in {"Cc", "Cf"}
    )
    return "".join(kept)[:limit]
