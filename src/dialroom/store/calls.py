"""Calls in SQL: the record as JSON, beside it the columns lists are filtered by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, select

from dialroom.calls.ports import CallFilter, RunningCall
from dialroom.calls.record import CallRecord
from dialroom.core.events import Event
from dialroom.core.paging import Page
from dialroom.store.database import Database
from dialroom.store.outbox import write_events
from dialroom.store.paging import delete_oldest, read_page, upsert
from dialroom.store.tables import RUNNING, calls, micros


class SqlCalls:
    """`CallStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, record: CallRecord, events: Sequence[Event] = (), *, resume: bytes | None = None) -> None:
        row = _row(record)
        if record.state == "ended":
            row["resume"] = None
        elif resume is not None:
            row["resume"] = resume

        def work(connection: Connection) -> None:
            upsert(connection, calls, [row], ("from_number", "to_number", "received_at"))
            write_events(connection, events)

        await self._database.write(work, events)

    async def get(self, organisation: str, call_id: str) -> CallRecord | None:
        query = select(calls.c.record).where(calls.c.organisation == organisation, calls.c.id == call_id)
        record = await self._database.read(lambda c: c.execute(query).scalar())
        return None if record is None else _record(record)

    async def page(
        self, organisation: str, which: CallFilter, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[CallRecord]:
        query = _filtered(select(calls).where(calls.c.organisation == organisation), which)
        either = (calls.c.from_number, calls.c.to_number)
        queries = [query] if which.number is None else [query.where(column == which.number) for column in either]
        return await self._database.read(
            lambda c: read_page(c, queries, calls.c.received_at, calls.c.id, cursor, limit, _value)
        )

    async def running(self) -> Sequence[RunningCall]:
        query = select(calls).where(RUNNING).order_by(calls.c.received_at, calls.c.id)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return tuple(RunningCall(_value(row), row.resume) for row in rows)

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget calls that ended and were received before this time, at most so many; returns how many."""
        ended = calls.c.state == "ended"
        return await self._database.write(lambda c: delete_oldest(c, calls.c.received_at, before, limit, ended))


def _filtered(query: Select[Any], which: CallFilter) -> Select[Any]:
    if which.state is not None:
        query = query.where(calls.c.state == which.state)
    if which.room is not None:
        query = query.where(calls.c.room == which.room)
    if which.session is not None:
        query = query.where(calls.c.session == which.session)
    if which.since is not None:
        query = query.where(calls.c.received_at >= micros(which.since))
    if which.until is not None:
        query = query.where(calls.c.received_at < micros(which.until))
    return query


def _row(record: CallRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "organisation": record.organisation,
        "state": record.state,
        "from_number": record.from_number,
        "to_number": record.to_number,
        "room": record.room,
        "session": record.session,
        "received_at": micros(record.received_at),
        "record": msgspec.json.encode(record).decode(),
    }


def _value(row: Row[Any]) -> CallRecord:
    return _record(row.record)


def _record(text: str) -> CallRecord:
    return msgspec.json.decode(text, type=CallRecord)
