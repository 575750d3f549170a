"""Idempotency keys in SQL. Answers hold secrets that are shown once, so they are sealed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, or_, select, update

from dialroom.auth.idempotency import IdempotencyRecord
from dialroom.core.answers import KeptAnswer
from dialroom.core.errors import IdempotencyInProgress
from dialroom.store.database import Database
from dialroom.store.paging import delete_oldest, upserting
from dialroom.store.tables import idempotency_keys, micros, moment
from dialroom.store.vault import Vault

_TRIES = 3
"""On PostgreSQL a key that kept ours out may be given up before it is read: then ours is tried again."""


class SqlIdempotency:
    """`IdempotencyStore`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def claim(
        self, record: IdempotencyRecord, expired: datetime, abandoned: datetime
    ) -> IdempotencyRecord | None:
        this = and_(idempotency_keys.c.organisation == record.organisation, idempotency_keys.c.key == record.key)
        stale = or_(
            idempotency_keys.c.started_at < micros(expired),
            and_(idempotency_keys.c.status.is_(None), idempotency_keys.c.started_at < micros(abandoned)),
        )

        def work(connection: Connection) -> IdempotencyRecord | None:
            connection.execute(delete(idempotency_keys).where(this, stale))
            statement = upserting(connection, idempotency_keys).on_conflict_do_nothing()
            taken = statement.returning(idempotency_keys.c.key)
            for _ in range(_TRIES):
                if connection.execute(taken, _idempotency_row(record)).one_or_none() is not None:
                    return None
                there = connection.execute(select(idempotency_keys).where(this)).one_or_none()
                if there is not None:
                    return self._value(there)
            raise IdempotencyInProgress

        return await self._database.write(work)

    async def finish(self, answer: KeptAnswer) -> None:
        await self._database.write(lambda c: keep_answer(c, self._vault, answer))

    async def abandon(self, organisation: str, key: str) -> None:
        query = delete(idempotency_keys).where(
            idempotency_keys.c.organisation == organisation,
            idempotency_keys.c.key == key,
            idempotency_keys.c.status.is_(None),
        )
        await self._database.write(lambda c: c.execute(query))

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget keys that were first used before this time, at most so many; returns how many."""
        return await self._database.write(lambda c: delete_oldest(c, idempotency_keys.c.started_at, before, limit))

    def _value(self, row: Row[Any]) -> IdempotencyRecord:
        body = None if row.body is None else self._vault.open(bytes(row.body), _place(row.organisation, row.key))
        return IdempotencyRecord(
            organisation=row.organisation,
            key=row.key,
            request_hash=bytes(row.request_hash),
            started_at=moment(row.started_at),
            status=row.status,
            body=None if body is None else body.encode(),
        )


def keep_answer(connection: Connection, vault: Vault, answer: KeptAnswer | None) -> None:
    """In the transaction of what the answer tells of. Raises IdempotencyInProgress, which undoes that transaction, if
    the key was taken over meanwhile by the same request again."""
    if answer is None:
        return
    query = (
        update(idempotency_keys)
        .where(
            idempotency_keys.c.organisation == answer.organisation,
            idempotency_keys.c.key == answer.key,
            idempotency_keys.c.status.is_(None),
        )
        .values(status=answer.status, body=vault.seal(answer.body.decode(), _place(answer.organisation, answer.key)))
    )
    if connection.execute(query).rowcount == 0:
        raise IdempotencyInProgress


def _idempotency_row(record: IdempotencyRecord) -> dict[str, Any]:
    return {
        "organisation": record.organisation,
        "key": record.key,
        "request_hash": record.request_hash,
        "started_at": micros(record.started_at),
        "status": record.status,
        "body": record.body,
    }


def _place(organisation: str, key: str) -> str:
    return f"idempotency_keys.body:{organisation}:{key}"
