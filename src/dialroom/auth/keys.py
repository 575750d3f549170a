"""API keys: ``dr_`` and 53 characters, shown once, kept as a hash.

The first 20 characters after the prefix are the key's id, so that it is found without trying all; the rest is 32 random
bytes, for which a plain SHA-256 is as good as a slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from dialroom.core.clock import Clock
from dialroom.core.errors import Invalid, Unauthenticated
from dialroom.core.ids import new_id
from dialroom.core.paging import Page

_SHAPE = re.compile(r"dr_(?P<id>[a-z2-7]{20})_(?P<secret>[A-Za-z0-9_-]{43})")
_NOBODY: Final = hashlib.sha256(b"no key has this hash").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept: never its text."""

    id: str
    organisation: str
    name: str
    secret_hash: bytes = field(repr=False)
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from."""

    organisation: str
    key: str


class KeyStore(Protocol):
    async def find(self, key: str) -> ApiKey | None: ...

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[ApiKey]: ...

    async def create(self, key: ApiKey) -> None: ...

    async def revoke(self, organisation: str, key: str, at: datetime) -> None:
        """Raises NotFound."""


class ApiKeys:
    """Makes, checks and revokes API keys."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, organisation: str, name: str) -> tuple[ApiKey, str]:
        """A new key and its text, which cannot be had again. Raises Invalid."""
        if not 1 <= len(name) <= 120 or not name.isprintable():
            raise Invalid("A key's name has 1 to 120 printable characters.", field="name")
        key, text = new_api_key(organisation, name, self._clock.now())
        await self._store.create(key)
        return key, text

    async def authenticate(self, text: str) -> Principal:
        """Whose key this is. Raises Unauthenticated, equally fast whatever is wrong with it."""
        match = _SHAPE.fullmatch(text) if len(text) <= 80 else None
        key = await self._store.find(f"key_{match['id']}") if match else None
        matches = hmac.compare_digest(hash_api_key(text), key.secret_hash if key else _NOBODY)
        if key is None or not matches or key.revoked_at is not None:
            raise Unauthenticated("There is no such API key, or it was revoked.")
        return Principal(key.organisation, key.id)

    async def page(self, organisation: str, cursor: str | None = None, limit: int | None = None) -> Page[ApiKey]:
        """The organisation's keys, newest first. Raises InvalidCursor."""
        return await self._store.page(organisation, cursor, limit)

    async def revoke(self, organisation: str, key: str) -> None:
        """The key is refused from now on. Raises NotFound."""
        await self._store.revoke(organisation, key, self._clock.now())


def new_api_key(organisation: str, name: str, at: datetime) -> tuple[ApiKey, str]:
    """Draw a key: as it is kept, and its text."""
    id_ = new_id("key")
    text = f"dr_{id_.removeprefix('key_')}_{secrets.token_urlsafe(32)}"
    key = ApiKey(id=id_, organisation=organisation, name=name, secret_hash=hash_api_key(text), created_at=at)
    return key, text


def hash_api_key(text: str) -> bytes:
    """The hash a key is kept as."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
