"""Bytes to a `SessionDescription`: lenient about what phones get wrong, bounded, and never any error but SdpError."""

from __future__ import annotations

import re
from dataclasses import replace

from dialroom.sdp.description import Attribute, Media, Origin, SessionDescription
from dialroom.sdp.errors import SdpError

MAX_BYTES = 32_768
MAX_LINES = 1_024
MAX_MEDIA = 32
MAX_FORMATS = 64

_NUMBER = re.compile(r"[0-9]{1,20}")
_ADDRESS = re.compile(r"[A-Za-z0-9.:\-%_]{1,255}")
_KIND = re.compile(r"[A-Za-z0-9.\-+_*!]{1,32}")


def parse(data: bytes) -> SessionDescription:
    """The description in `data`; lines may end in CRLF or LF. Raises SdpError."""
    if len(data) > MAX_BYTES:
        raise SdpError("the session description is too large")
    if b"\x00" in data:
        raise SdpError("the session description holds a NUL")
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise SdpError("the session description has too many lines")
    sections = _sections(lines)
    head, media = sections[0], sections[1:]
    if head[:1] != [("v", "0")]:
        raise SdpError("a session description begins with v=0")
    origin = next((_origin(value) for kind, value in head if kind == "o"), None)
    if origin is None:
        raise SdpError("the session description has no o= line")
    if len(media) > MAX_MEDIA:
        raise SdpError("the session description has too many media")
    return SessionDescription(
        origin=origin,
        media=tuple(_media(section) for section in media),
        address=next((_connection(value) for kind, value in head if kind == "c"), None),
        attributes=tuple(_attribute(value) for kind, value in head if kind == "a"),
        name=next((value for kind, value in head if kind == "s"), "-")[:256],
    )


def _sections(lines: list[str]) -> list[list[tuple[str, str]]]:
    """The session's lines, then those of each medium."""
    sections: list[list[tuple[str, str]]] = [[]]
    for raw in lines:
        line = raw.rstrip(" \t\r")
        if not line:
            continue
        if len(line) < 2 or line[1] != "=" or "\r" in line:
            raise SdpError("a line of the session description is not of the form x=…")
        if line[0] == "m":
            sections.append([])
        sections[-1].append((line[0], line[2:]))
    return sections


def _number(text: str, name: str, limit: int) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) > limit:
        raise SdpError(f"{name} is not a number in range")
    return int(text)


def _origin(value: str) -> Origin:
    parts = value.split()
    if len(parts) < 6:
        raise SdpError("the o= line is malformed")
    # RFC 8866 §5.2: the user name "MUST NOT contain spaces"; that of some equipment is its display name.
    session_id, version, _, _, address = parts[-5:]
    username = " ".join(parts[:-5])
    # RFC 8866 makes both numeric; some phones write what they like, and all that matters is whether it changes.
    numbers = [int(text) if _NUMBER.fullmatch(text) else _text_as_number(text) for text in (session_id, version)]
    return Origin(username[:64], numbers[0], numbers[1], address[:255])


def _text_as_number(text: str) -> int:
    """A stable number for a session id or version that is none."""
    return int.from_bytes(text.encode("utf-8", "replace")[:7], "big")


def _connection(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0] != "IN" or parts[1] not in ("IP4", "IP6"):
        raise SdpError("the c= line is malformed")
    address = parts[2].partition("/")[0]
    if _ADDRESS.fullmatch(address) is None:
        raise SdpError("the c= line holds no address")
    return address


def _attribute(value: str) -> Attribute:
    name, colon, rest = value.partition(":")
    return Attribute(name.strip().lower(), rest.strip() if colon else None)


def _media(section: list[tuple[str, str]]) -> Media:
    parts = section[0][1].split()
    # Some write no format where the medium is refused or removed anyway.
    if len(parts) < (3 if parts[1:2] == ["0"] else 4):
        raise SdpError("an m= line is malformed")
    if len(parts) > 3 + MAX_FORMATS:
        raise SdpError("an m= line has too many formats")
    if _KIND.fullmatch(parts[0]) is None:
        raise SdpError("an m= line names no medium")
    media = Media(
        kind=parts[0].lower(),
        port=_number(parts[1].partition("/")[0], "a media port", 65_535),
        protocol=parts[2][:32],
        formats=tuple(parts[3:]),
    )
    address = next((_connection(value) for kind, value in section if kind == "c"), None)
    attributes = tuple(_attribute(value) for kind, value in section if kind == "a")
    return replace(media, address=address, attributes=attributes)
