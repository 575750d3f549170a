"""A `SessionDescription` to bytes, as RFC 8866 orders the lines."""

from __future__ import annotations

import re

from dialroom.sdp.description import Attribute, Media, SessionDescription

_FORBIDDEN = re.compile(r"[\r\n\x00]")


def build(description: SessionDescription) -> bytes:
    """The description for the wire. Raises ValueError on CR, LF or NUL in any value: those would make new lines."""
    origin = description.origin
    lines = [
        "v=0",
        f"o={origin.username} {origin.session_id} {origin.version} {_network(origin.address)}",
        f"s={description.name}",
    ]
    if description.address is not None:
        lines.append(f"c={_network(description.address)}")
    lines.append("t=0 0")
    lines += [_attribute(item) for item in description.attributes]
    for media in description.media:
        lines += _media(media)
    if any(_FORBIDDEN.search(line) for line in lines):
        raise ValueError("a session description may not contain CR, LF or NUL")
    return ("\r\n".join(lines) + "\r\n").encode()


def _network(address: str) -> str:
    return f"IN IP6 {address}" if ":" in address else f"IN IP4 {address}"


def _attribute(item: Attribute) -> str:
    return f"a={item.name}" if item.value is None else f"a={item.name}:{item.value}"


def _media(media: Media) -> list[str]:
    lines = [f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}"]
    if media.address is not None:
        lines.append(f"c={_network(media.address)}")
    return lines + [_attribute(item) for item in media.attributes]
