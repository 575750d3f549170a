"""The answer to a create that carries an idempotency key.

It is stored in the transaction that creates, so that a create which happened is always answered alike, whatever fails
or dies after the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What to answer when the same request comes again: HTTP ``status`` and ``body``."""

    organisation: str
    key: str
    status: int
    body: bytes = field(repr=False)


Answer = Callable[[T], KeptAnswer | None]
"""The answer for what is about to be created; None when the request carries no key."""


def unanswered(_created: object) -> None:
    """The `Answer` of a create without a key."""
