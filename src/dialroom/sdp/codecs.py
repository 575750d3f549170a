"""Audio formats: what a payload type means, and what we talk."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from dialroom.sdp.description import Media

DEFAULT_PREFERENCE: Final = ("opus", "G722", "PCMU", "PCMA")
"""Our codecs, best first."""

STATIC: Final = {
    0: ("PCMU", 8000, 1),
    3: ("GSM", 8000, 1),
    4: ("G723", 8000, 1),
    8: ("PCMA", 8000, 1),
    9: ("G722", 8000, 1),
    13: ("CN", 8000, 1),
    18: ("G729", 8000, 1),
}
"""Payload types that need no rtpmap (RFC 3551 table 4): name, clock rate in Hz, channels."""

OUR_DYNAMIC: Final = {"opus": 111, "telephone-event/48000": 110, "telephone-event/8000": 101}
"""Payload types of our own offers."""

_RTPMAP = re.compile(r"(\d{1,3})[ \t]+([A-Za-z0-9.\-_+]{1,64})/(\d{1,6})(?:/(\d{1,2}))?")
_FMTP = re.compile(r"(\d{1,3})[ \t]+(.*)")
_CANONICAL: Final = {name.lower(): name for name in ("opus", "G722", "PCMU", "PCMA", "CN", "telephone-event")}


class Codec(msgspec.Struct, frozen=True):
    """One RTP payload format as agreed. `clock_rate` in Hz (8000 for G.722, RFC 3551 §4.5.2), `ptime` in ms."""

    name: str
    payload_type: int
    clock_rate: int
    channels: int = 1
    ptime: int = 20
    fmtp: str = ""


def offered_formats(media: Media) -> list[Codec]:
    """The formats of an audio section in the offerer's order of preference; ones that say nothing usable are left out.

    `rtpmap` of a payload type beyond 127, or one that is not on the `m=` line, is ignored.
    """
    names: dict[int, tuple[str, int, int]] = {}
    for text in media.all("rtpmap"):
        hit = _RTPMAP.match(text)
        if hit is not None and int(hit[1]) <= 127:
            names[int(hit[1])] = (hit[2], int(hit[3]), int(hit[4] or 1))
    parameters: dict[int, str] = {}
    for text in media.all("fmtp"):
        hit = _FMTP.match(text)
        if hit is not None and int(hit[1]) <= 127:
            parameters.setdefault(int(hit[1]), hit[2].strip()[:256])
    result: list[Codec] = []
    seen: set[int] = set()
    for text in media.formats:
        if not (text.isascii() and text.isdigit() and len(text) <= 3):
            continue
        number = int(text)
        known = names.get(number) or STATIC.get(number)
        if number > 127 or number in seen or known is None:
            continue
        seen.add(number)
        name, rate, channels = known
        name = _CANONICAL.get(name.lower(), name)
        result.append(Codec(name, number, rate, channels, fmtp=parameters.get(number, "")))
    return result


def talks(codec: Codec) -> bool:
    """Whether this is a codec of ours, with the clock rate and channels its RFC demands."""
    if codec.name == "opus":
        # RFC 7587 §7: "The rtpmap … MUST be 48000" and "… 2"; phones that write one channel mean the same.
        return codec.clock_rate == 48_000
    return codec.name in ("G722", "PCMU", "PCMA") and codec.clock_rate == 8000 and codec.channels == 1
