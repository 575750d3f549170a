from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.event import listen
from sqlalchemy.exc import IntegrityError

from dialroom.core.bus import EventBus
from dialroom.core.errors import Invalid, StoreUnavailable
from dialroom.core.events import Event, new_event
from dialroom.store.database import Database, mark_filled
from dialroom.store.migrate import migrate
from dialroom.store.outbox import write_events
from dialroom.store.tables import guesses
from tests.support.clock import NOON

ROW = {"scope": "number", "key": "k", "drained_at": 0}


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, bus: EventBus) -> AsyncIterator[Database]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'new.db'}" if sqlite else request.getfixturevalue("migrated_postgres_url")
    database = Database(url, bus)
    await asyncio.to_thread(migrate, database.engine)
    yield database
    await database.close()


def _count(connection: Connection) -> Any:
    return connection.execute(select(guesses.c.drained_at)).scalar_one()


def _insert(key: str) -> Callable[[Connection], int]:
    return lambda c: int(c.execute(insert(guesses), {**ROW, "key": key}).rowcount)


async def _new_sqlite(folder: Path, bus: EventBus) -> Database:
    database = Database(f"sqlite:///{folder / 'new.db'}", bus)
    await asyncio.to_thread(migrate, database.engine)
    return database


async def test_readers_who_then_write_never_get_in_each_others_way(database: Database) -> None:
    await database.write(lambda c: c.execute(insert(guesses), ROW))

    def add_one(connection: Connection) -> None:
        at = connection.execute(select(guesses.c.drained_at).with_for_update()).scalar_one()
        connection.execute(update(guesses).values(drained_at=at + 1))

    await asyncio.gather(*(database.write(add_one) for _ in range(100)), *(database.read(_count) for _ in range(50)))
    assert await database.read(_count) == 100


async def test_a_transaction_that_fails_leaves_nothing(database: Database, published: list[Event]) -> None:
    def half(connection: Connection) -> None:
        connection.execute(insert(guesses), ROW)
        raise RuntimeError("half way")

    event = new_event("org_none", "call.received", NOON, "call_1", {})
    with pytest.raises(RuntimeError):
        await database.write(half, [event])
    assert await database.read(lambda c: c.execute(select(guesses)).all()) == []
    assert published == []


async def test_an_error_does_not_tell_what_was_asked_for(database: Database) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        await database.read(lambda c: c.execute(text("SELECT :code FROM no_such_table"), {"code": "482915736"}))
    assert "no_such_table" in str(raised.value.__cause__)
    assert "482915736" not in str(raised.value.__cause__)


async def test_events_are_published_after_the_commit_only(database: Database, bus: EventBus) -> None:
    seen: list[int] = []

    def look(_event: Event) -> None:
        with database.engine.connect() as connection:
            seen.append(len(connection.execute(select(guesses)).all()))

    bus.subscribe(look)
    event = new_event("org_none", "call.received", NOON, "call_1", {})
    await database.write(lambda c: c.execute(insert(guesses), ROW), [event])
    assert seen == [1]


async def test_a_write_goes_on_when_nobody_waits_for_it_any_more(database: Database, published: list[Event]) -> None:
    event = new_event("org_none", "call.received", NOON, "call_1", {})
    writing = asyncio.create_task(database.write(lambda c: c.execute(insert(guesses), ROW), [event]))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await database.write(lambda c: c.execute(update(guesses).values(drained_at=7)))
    assert await database.read(_count) == 7
    assert published == [event]


async def test_what_comes_while_sqlite_writes_is_committed_together(
    tmp_path: Path, published: list[Event], bus: EventBus
) -> None:
    database = await _new_sqlite(tmp_path, bus)
    commits: list[Connection] = []
    listen(database.engine, "commit", commits.append)
    events = [new_event("org_none", "call.received", NOON, f"call_{each}", {}) for each in range(20)]
    await asyncio.gather(*(database.write(_insert(event.subject), [event]) for event in events))
    assert published == events
    assert len(await database.read(lambda c: c.execute(select(guesses)).all())) == 20
    assert len(commits) == 2  # the first at once, all that came meanwhile
    await database.close()


async def test_of_writes_committed_together_only_the_one_that_fails_does_not_happen(
    tmp_path: Path, published: list[Event], bus: EventBus
) -> None:
    database = await _new_sqlite(tmp_path, bus)

    def broken(connection: Connection) -> None:
        _insert("broken")(connection)
        raise RuntimeError("half way")

    events = [new_event("org_none", "call.received", NOON, f"call_{each}", {}) for each in range(4)]
    works = [_insert("a"), broken, _insert("a"), _insert("b")]
    outcomes = await asyncio.gather(
        database.write(_insert("first")),
        *(database.write(work, [event]) for work, event in zip(works, events, strict=True)),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [int, int, RuntimeError, IntegrityError, int]
    assert published == [events[0], events[3]]
    keys = await database.read(lambda c: c.execute(select(guesses.c.key).order_by(guesses.c.key)).scalars().all())
    assert keys == ["a", "b", "first"]
    await database.close()


async def test_an_outbox_filled_by_writes_committed_together_is_said_to_be(tmp_path: Path, bus: EventBus) -> None:
    database = await _new_sqlite(tmp_path, bus)
    woken: list[None] = []
    database.on_filled(lambda: woken.append(None))
    await asyncio.gather(*(database.write(work) for work in (_insert("a"), _insert("b"), mark_filled, _insert("c"))))
    assert woken == [None]
    await database.close()


async def test_closing_finishes_what_waits_to_be_written(tmp_path: Path, bus: EventBus) -> None:
    database = await _new_sqlite(tmp_path, bus)
    writing = [asyncio.create_task(database.write(_insert(str(each)))) for each in range(200)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writing)
    reopened = Database(f"sqlite:///{tmp_path / 'new.db'}", bus)
    assert len(await reopened.read(lambda c: c.execute(select(guesses)).all())) == 200
    await reopened.close()


async def test_text_the_database_cannot_hold_is_the_callers_mistake(migrated_postgres_url: str) -> None:
    database = Database(migrated_postgres_url, EventBus())
    with pytest.raises(Invalid):
        await database.write(lambda c: c.execute(insert(guesses), {**ROW, "key": "nul\0"}))
    await database.close()


async def test_a_database_that_is_gone_is_said_to_be(postgres_url: str) -> None:
    database = Database(postgres_url.replace("127.0.0.1", "127.0.0.9"), EventBus())
    with pytest.raises(StoreUnavailable) as refused:
        await database.read(lambda c: c.execute(text("SELECT 1")))
    assert refused.value.status == 503
    await database.close()


async def test_a_connection_the_server_dropped_is_replaced(postgres_url: str) -> None:
    database = Database(postgres_url, EventBus())
    await database.read(lambda c: c.execute(text("SELECT 1")))
    other = Database(postgres_url, EventBus())
    drop = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    await other.read(lambda c: c.execute(text(drop)).all())
    assert await database.read(lambda c: c.execute(text("SELECT 1")).scalar()) == 1
    await database.close()
    await other.close()


def _set_query_only(database: Database, value: str) -> None:
    connection = database.engine.raw_connection()
    connection.cursor().execute(f"PRAGMA query_only={value}")
    connection.close()


async def test_a_read_only_sqlite_says_unavailable_and_recovers(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}", EventBus())
    await asyncio.to_thread(migrate, database.engine)
    _set_query_only(database, "ON")
    with pytest.raises(StoreUnavailable):
        await database.write(lambda c: c.execute(insert(guesses), ROW))
    _set_query_only(database, "OFF")
    await database.write(lambda c: c.execute(insert(guesses), ROW))
    assert await database.read(_count) == 0
    await database.close()


def test_sqlite_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="file"):
        Database("sqlite://", EventBus())


async def test_nothing_is_written_to_the_outbox_for_no_events(database: Database) -> None:
    woken: list[None] = []
    database.on_filled(lambda: woken.append(None))
    await database.write(lambda c: write_events(c, []))
    assert woken == []
