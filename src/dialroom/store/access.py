"""API keys and guess counters in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, insert, select, tuple_, update

from dialroom.auth.guesses import Counter, Scope
from dialroom.auth.keys import ApiKey
from dialroom.core.errors import NotFound
from dialroom.core.events import Event
from dialroom.core.paging import Page
from dialroom.store.database import Database
from dialroom.store.outbox import write_events
from dialroom.store.paging import delete_oldest, read_page, upserting_in
from dialroom.store.tables import api_keys, guesses, micros, micros_or_none, moment, moment_or_none


class SqlKeys:
    """`KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: str) -> ApiKey | None:
        query = select(api_keys).where(api_keys.c.id == key)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return _key(row) if row else None

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[ApiKey]:
        query = select(api_keys).where(api_keys.c.organisation == organisation)
        return await self._database.read(
            lambda c: read_page(c, query, api_keys.c.created_at, api_keys.c.id, cursor, limit, _key)
        )

    async def create(self, key: ApiKey) -> None:
        values = key_row(key)
        await self._database.write(lambda c: c.execute(insert(api_keys), values))

    async def revoke(self, organisation: str, key: str, at: datetime) -> None:
        query = (
            update(api_keys)
            .where(api_keys.c.organisation == organisation, api_keys.c.id == key)
            .values(revoked_at=micros(at))
        )
        if await self._database.write(lambda c: c.execute(query).rowcount) == 0:
            raise NotFound(f"There is no key {key!r}.")


class SqlGuesses:
    """`GuessStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counters(self, keys: Sequence[tuple[Scope, str]]) -> tuple[Counter, ...]:
        query = select(guesses).where(tuple_(guesses.c.scope, guesses.c.key).in_(list(keys)))
        return await self._database.read(lambda c: _counters(c.execute(query)))

    async def count(
        self,
        keys: Sequence[tuple[Scope, str]],
        now: datetime,
        window: timedelta,
        allowed: Callable[[Sequence[Counter]], bool],
    ) -> tuple[Counter, ...] | None:
        times = {"window_started": micros(now), "over": micros(now - window)}

        def work(connection: Connection) -> tuple[Counter, ...] | None:
            count = _counting(connection.dialect.name)
            # Always in the same order, so that two transactions cannot deadlock.
            rows = [
                connection.execute(count, {"scope": s, "key": k, "wrong": 1, **times}).one() for s, k in sorted(keys)
            ]
            counters = _counters(rows)
            if allowed([replace(counter, wrong=counter.wrong - 1) for counter in counters]):
                return counters
            _take_back(connection, counters)
            return None

        return await self._database.write(work)

    async def take_back(self, counted: Sequence[Counter]) -> None:
        await self._database.write(lambda c: _take_back(c, counted))

    async def announce(self, events: Sequence[Event]) -> None:
        await self._database.write(lambda c: write_events(c, events), events)

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget windows that began before this time, at most so many; returns how many."""
        return await self._database.write(lambda c: delete_oldest(c, guesses.c.window_started, before, limit))


def key_row(key: ApiKey) -> dict[str, Any]:
    """The key as it is stored."""
    return {
        "id": key.id,
        "organisation": key.organisation,
        "name": key.name,
        "secret_hash": key.secret_hash,
        "created_at": micros(key.created_at),
        "revoked_at": micros_or_none(key.revoked_at),
    }


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        organisation=row.organisation,
        name=row.name,
        secret_hash=bytes(row.secret_hash),
        created_at=moment(row.created_at),
        revoked_at=moment_or_none(row.revoked_at),
    )


def _counters(rows: Iterable[Row[Any]]) -> tuple[Counter, ...]:
    return tuple(Counter(row.scope, row.key, row.wrong, moment(row.window_started)) for row in rows)


@cache
def _counting(dialect: str) -> Any:
    statement = upserting_in(dialect, guesses)
    going = guesses.c.window_started > bindparam("over")
    counted = {
        "wrong": case((going, guesses.c.wrong + 1), else_=1),
        "window_started": case((going, guesses.c.window_started), else_=statement.excluded.window_started),
    }
    upsert = statement.on_conflict_do_update(index_elements=["scope", "key"], set_=counted)
    return upsert.returning(*guesses.c)


_TAKE_BACK = (
    update(guesses)
    .where(
        guesses.c.scope == bindparam("its_scope"),
        guesses.c.key == bindparam("its_key"),
        guesses.c.window_started == bindparam("its_window"),
        guesses.c.wrong > 0,
    )
    .values(wrong=guesses.c.wrong - 1)
)


def _take_back(connection: Connection, counted: Sequence[Counter]) -> None:
    ordered = sorted(counted, key=lambda each: (each.scope, each.key))
    connection.execute(
        _TAKE_BACK,
        [{"its_scope": c.scope, "its_key": c.key, "its_window": micros(c.window_started)} for c in ordered],
    )
