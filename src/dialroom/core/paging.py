"""Lists that are read a page at a time."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from dialroom.core.errors import InvalidCursor

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items and, unless this was the last page, the cursor of the next one."""

    items: tuple[T, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: lists run newest first, by time and then by id."""

    at: datetime
    id: str


def encode_cursor(position: Position) -> str:
    """The position as an opaque, URL-safe word."""
    text = f"{(position.at - _EPOCH) // _MICROSECOND}:{position.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> Position | None:
    """The position in a cursor, None for no cursor. Raises InvalidCursor for anything we did not write."""
    if cursor is None:
        return None
    if len(cursor) > 128 or not cursor.isascii():
        raise InvalidCursor
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        microseconds, _, id_ = text.partition(":")
        if not id_ or not microseconds.isdecimal():
            raise InvalidCursor
        return Position(_EPOCH + timedelta(microseconds=int(microseconds)), id_)
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InvalidCursor from error


def clamp_limit(limit: int | None) -> int:
    """The page size to use for what was asked: 1 to `MAX_LIMIT`, `DEFAULT_LIMIT` for nothing."""
    return DEFAULT_LIMIT if limit is None else max(1, min(limit, MAX_LIMIT))
