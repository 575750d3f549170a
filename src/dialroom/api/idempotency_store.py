"""What idempotency keys need of a store."""

from __future__ import annotations

from typing import Protocol


class IdempotencyStore(Protocol):
    """First answers, by organisation and key, for 24 h."""

    async def begin(self, organisation: str, key: str, request: str) -> bytes | None:
        """None for a new key, which is now taken; else the first answer. ``request`` is a digest of the request.

        Raises IdempotencyMismatch, IdempotencyInProgress.
        """
        ...

    async def finish(self, organisation: str, key: str, answer: bytes) -> None:
        """Keep the answer."""

    async def forget(self, organisation: str, key: str) -> None:
        """The request failed; the key may be used again."""
