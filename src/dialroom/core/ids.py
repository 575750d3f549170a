"""Identifiers: a prefix that says what is named, and 100 random bits."""

from __future__ import annotations

import base64
import re
import secrets

_LENGTH = 20
_BYTES = 13
_SHAPE = re.compile(r"[a-z]{2,8}_[a-z2-7]{20}")

PREFIXES = frozenset(
    {"room", "sess", "part", "call", "leg", "peer", "whk", "evt", "dlv", "key", "num", "gw", "org", "play", "tok"}
)
"""What can be named: see `new_id`."""


def new_id(prefix: str) -> str:
    """A new identifier such as ``room_k3v7…``: `prefix`, ``_``, 20 random characters that are safe in URLs."""
    if prefix not in PREFIXES:
        raise ValueError(f"unknown id prefix {prefix!r}")
    # RFC 4648 base 32 in lower case is this alphabet; one read of randomness instead of twenty.
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(_BYTES)).decode()[:_LENGTH].lower()}"


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` has the shape of an identifier with this prefix (it may still name nothing)."""
    return _SHAPE.fullmatch(text) is not None and text.startswith(prefix + "_")
