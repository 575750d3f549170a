"""Idempotency keys: a create that is sent twice happens once.

The first request with a key starts it and finishes it with its answer, in the transaction that creates what was asked
for; the same request again gets that answer for 24 hours. A different request with the same key is refused, and so is
one while the first is still running. A key that was started and not finished stays taken for `ABANDONED_AFTER`: nothing
was created, but the first request may still be at it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from dialroom.core.answers import KeptAnswer
from dialroom.core.clock import Clock
from dialroom.core.errors import IdempotencyInProgress, IdempotencyMismatch, Invalid

KEPT: Final = timedelta(hours=24)
ABANDONED_AFTER: Final = timedelta(minutes=5)
MAX_KEY: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """A key in use. ``status`` and ``body`` are None while the first request is running."""

    organisation: str
    key: str
    request_hash: bytes
    started_at: datetime
    status: int | None = None
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer the first request got."""

    status: int
    body: bytes = field(repr=False)


class IdempotencyStore(Protocol):
    async def claim(
        self, record: IdempotencyRecord, expired: datetime, abandoned: datetime
    ) -> IdempotencyRecord | None:
        """Insert the record and return None, or return the one that is there.

        One that started before `expired`, or before `abandoned` without having been finished, is replaced. Raises
        IdempotencyInProgress where others take the key and give it up again all the time.
        """

    async def finish(self, answer: KeptAnswer) -> None:
        """For a request that wrote nothing else. Raises IdempotencyInProgress if the key is not ours any more."""

    async def abandon(self, organisation: str, key: str) -> None:
        """Forget a key that is not finished."""


class Idempotency:
    """What the API does around each create that carries an ``Idempotency-Key``."""

    def __init__(self, store: IdempotencyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def begin(self, organisation: str, key: str, method: str, path: str, body: bytes) -> Replay | None:
        """None: go on, then `finish` or `abandon`. Else the answer to repeat.

        Raises Invalid, IdempotencyMismatch, IdempotencyInProgress.
        """
        if not 1 <= len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
            raise Invalid(f"An idempotency key has 1 to {MAX_KEY} visible ASCII characters.", field="Idempotency-Key")
        now = self._clock.now()
        digest = hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()
        record = IdempotencyRecord(organisation=organisation, key=key, request_hash=digest, started_at=now)
        earlier = await self._store.claim(record, now - KEPT, now - ABANDONED_AFTER)
        if earlier is None:
            return None
        if earlier.request_hash != digest:
            raise IdempotencyMismatch
        if earlier.status is None or earlier.body is None:
            raise IdempotencyInProgress
        return Replay(earlier.status, earlier.body)

    async def finish(self, answer: KeptAnswer) -> None:
        """Keep the answer to a request that wrote nothing with which it could be kept.

        Raises IdempotencyInProgress if the key is not ours any more.
        """
        await self._store.finish(answer)

    async def abandon(self, organisation: str, key: str) -> None:
        """The request failed; if it created nothing, the key is free again."""
        await self._store.abandon(organisation, key)
