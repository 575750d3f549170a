"""API keys and counters of wrong tries in SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, insert, or_, select, tuple_, update

from dialroom.auth.guesses import BUDGETS, WINDOW, Counter, Scope
from dialroom.auth.keys import ApiKey
from dialroom.core.errors import NotFound
from dialroom.core.events import Event
from dialroom.core.paging import Page
from dialroom.store.database import Database
from dialroom.store.outbox import write_events
from dialroom.store.paging import delete_oldest, read_page, upserting_in
from dialroom.store.tables import api_keys, calls, guesses, micros, micros_or_none, moment, moment_or_none

_MICRO: Final = timedelta(microseconds=1)


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

    async def is_regular(self, organisation: str, caller: str, since: datetime) -> bool:
        query = (
            select(calls.c.id)
            .where(
                calls.c.organisation == organisation,
                calls.c.from_number == caller,
                calls.c.received_at >= micros(since),
                calls.c.session.is_not(None),
            )
            .limit(1)
        )
        return await self._database.read(lambda c: c.execute(query).one_or_none() is not None)

    async def count(
        self, keys: Sequence[tuple[Scope, str]], now: datetime, allowed: Callable[[Sequence[Counter]], bool]
    ) -> tuple[Counter, ...] | None:
        def work(connection: Connection) -> tuple[Counter, ...] | None:
            count = _counting(connection.dialect.name)
            # Always in the same order, so that two transactions cannot deadlock.
            rows = [connection.execute(count, _one_more(scope, key, now)).one() for scope, key in sorted(keys)]
            counters = _counters(rows)
            if allowed([counter.one_less for counter in counters]):
                return counters
            _take_back(connection, counters)
            return None

        return await self._database.write(work)

    async def take_back(self, counted: Sequence[Counter]) -> None:
        await self._database.write(lambda c: _take_back(c, counted))

    async def alarm(self, counter: Counter, event: Event, now: datetime) -> bool:
        untold = or_(guesses.c.told_at.is_(None), guesses.c.told_at <= micros(now - WINDOW))
        this = (guesses.c.scope == counter.scope, guesses.c.key == counter.key)
        tell = update(guesses).where(*this, untold).values(told_at=micros(now))

        def work(connection: Connection) -> None:
            if connection.execute(tell).rowcount == 0:
                raise _ToldAlready
            write_events(connection, [event])

        try:
            await self._database.write(work, [event])
        except _ToldAlready:
            return False
        return True

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget counters that were drained before this time, at most so many; returns how many."""
        return await self._database.write(lambda c: delete_oldest(c, guesses.c.drained_at, before, limit))


class _ToldAlready(Exception):  # noqa: N818 - undoes a transaction, and is no error
    """Somebody else was the first to tell."""


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
    return tuple(Counter(row.scope, row.key, moment(row.drained_at), moment_or_none(row.told_at)) for row in rows)


def _one_more(scope: Scope, key: str, now: datetime) -> dict[str, Any]:
    drain = BUDGETS[scope].drain
    return {"scope": scope, "key": key, "drained_at": micros(now + drain), "now": micros(now), "drain": drain // _MICRO}


@cache
def _counting(dialect: str) -> Any:
    statement = upserting_in(dialect, guesses)
    held = case((guesses.c.drained_at > bindparam("now"), guesses.c.drained_at), else_=bindparam("now"))
    upsert = statement.on_conflict_do_update(
        index_elements=["scope", "key"], set_={"drained_at": held + bindparam("drain")}
    )
    return upsert.returning(*guesses.c)


_TAKE_BACK = (
    update(guesses)
    .where(guesses.c.scope == bindparam("its_scope"), guesses.c.key == bindparam("its_key"))
    .values(drained_at=guesses.c.drained_at - bindparam("its_drain"))
)


def _take_back(connection: Connection, counted: Sequence[Counter]) -> None:
    ordered = sorted(counted, key=lambda each: (each.scope, each.key))
    connection.execute(
        _TAKE_BACK,
        [{"its_scope": c.scope, "its_key": c.key, "its_drain": BUDGETS[c.scope].drain // _MICRO} for c in ordered],
    )
