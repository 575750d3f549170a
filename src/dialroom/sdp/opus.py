"""Format parameters of Opus (RFC 7587 §6.1): what a decoder asks of the encoder at the other end.

`stereo` asks for nothing here: what we send is mono, which every decoder must take. What a sender says of itself
(`sprop-…`) changes nothing either.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

MIN_BITRATE: Final = 6_000
MAX_BITRATE: Final = 510_000
MIN_PLAYBACK_RATE: Final = 8_000
MAX_PLAYBACK_RATE: Final = 48_000

OURS: Final = "maxplaybackrate=16000;sprop-maxcapturerate=16000;useinbandfec=1;usedtx=0;stereo=0;sprop-stereo=0"
"""Ours: meetings are mixed at 16 kHz."""

_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class OpusFormat(msgspec.Struct, frozen=True):
    """What is asked; the defaults are the RFC's. `maxaveragebitrate` in bits per second, `maxplaybackrate` in Hz."""

    maxaveragebitrate: int = MAX_BITRATE
    maxplaybackrate: int = MAX_PLAYBACK_RATE
    cbr: bool = False
    useinbandfec: bool = False
    usedtx: bool = False


def parse_opus(fmtp: str) -> OpusFormat:
    """The parameters in an fmtp value. A number out of its range, or that is none, does not count: those of
    `maxaveragebitrate` "SHOULD be ignored". Flags are set by 1 alone."""
    said: dict[str, str] = {}
    for part in fmtp.split(";"):
        name, _, value = part.partition("=")
        said.setdefault(name.strip().lower(), value.strip())
    return OpusFormat(
        maxaveragebitrate=_number(said.get("maxaveragebitrate"), MIN_BITRATE, MAX_BITRATE),
        maxplaybackrate=_number(said.get("maxplaybackrate"), MIN_PLAYBACK_RATE, MAX_PLAYBACK_RATE),
        cbr=said.get("cbr") == "1",
        useinbandfec=said.get("useinbandfec") == "1",
        usedtx=said.get("usedtx") == "1",
    )


def _number(text: str | None, least: int, most: int) -> int:
    if text is None or _NUMBER.fullmatch(text) is None or not least <= int(text) <= most:
        return most
    return int(text)
