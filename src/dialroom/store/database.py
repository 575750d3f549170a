"""The database: sync SQLAlchemy in threads, so that the event loop never waits for a disk.

SQLite has one writer thread, whose transactions open with BEGIN IMMEDIATE (a plain BEGIN that reads and then writes
fails at once when another has written in between, whatever the busy timeout), and a few readers. What comes while it
writes is committed together next (group commit): each write still happens whole or not at all, because if one of them
fails, all are rolled back and then done one by one. PostgreSQL has a thread for each pooled connection, and a
transaction for each write. A write goes on to its end when the task that asked for it is cancelled; its events are
published after the commit.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dialroom.core import metrics
from dialroom.core.bus import EventBus
from dialroom.core.errors import Invalid, StoreUnavailable
from dialroom.core.events import Event

T = TypeVar("T")
_log = structlog.get_logger("dialroom.store")
_READERS = 3
_POOL = 8
_TOGETHER = 64
"""Writes that are committed together at most."""

_RETRIED = frozenset({"40001", "40P01"})
_TRIES = 4
_FILLED = "dialroom outbox filled"


@dataclass(frozen=True, slots=True)
class _Write:
    """Something to write, and the future that waits for it."""

    work: Callable[[Connection], Any]
    events: Sequence[Event]
    done: asyncio.Future[Any]
    asked_at: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a write: its result and whether it put something into the outbox, or its error."""

    result: Any = None
    filled: bool = False
    error: Exception | None = None


class Database:
    """Runs transactions. `read` and `write` take a function of a connection, which runs in a thread."""

    def __init__(self, url: str, bus: EventBus) -> None:
        self._bus = bus
        self._waiting: deque[_Write] = deque()
        self._committing: set[asyncio.Future[list[_Outcome]]] = set()
        self._on_filled: Callable[[], None] | None = None
        self.sqlite = make_url(url).get_backend_name() == "sqlite"
        if self.sqlite:
            self._writer = _sqlite_engine(url, "BEGIN IMMEDIATE", 1)
            self._reader = _sqlite_engine(url, "BEGIN", _READERS)
            self._write_threads = ThreadPoolExecutor(1, "store-write")
            self._lanes, self._together = 1, _TOGETHER
            self._read_threads = ThreadPoolExecutor(_READERS, "store-read")
        else:
            self._writer = self._reader = create_engine(
                url,
                hide_parameters=True,  # codes that callers type are among them, and errors end up in the log
                pool_size=_POOL,
                max_overflow=0,
                pool_timeout=5,
                pool_pre_ping=True,
                connect_args={"connect_timeout": 5, "options": "-c statement_timeout=10000"},
            )
            self._write_threads = self._read_threads = ThreadPoolExecutor(_POOL, "store")
            self._lanes, self._together = _POOL, 1

    @property
    def engine(self) -> Engine:
        """The engine that writes, for migrations."""
        return self._writer

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that only reads. Raises StoreUnavailable."""
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            result, _ = await loop.run_in_executor(self._read_threads, _transact, self._reader, work)
        finally:
            metrics.STORE_SECONDS.labels("read").observe(time.perf_counter() - started)
        return result

    async def write(self, work: Callable[[Connection], T], events: Sequence[Event] = ()) -> T:
        """Run `work` in a transaction and publish `events`, which it must have written, after the commit.

        It may be run more than once before one run counts. Raises StoreUnavailable, Invalid for text the database
        cannot hold, and SQLAlchemy's IntegrityError.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(work, events, done, time.perf_counter()))
        self._commit_waiting()
        return await asyncio.shield(done)

    def _commit_waiting(self) -> None:
        while self._waiting and len(self._committing) < self._lanes:
            batch = [self._waiting.popleft() for _ in range(min(self._together, len(self._waiting)))]
            works = [write.work for write in batch]
            loop = asyncio.get_running_loop()
            committing = loop.run_in_executor(self._write_threads, _commit, self._writer, works)
            self._committing.add(committing)
            committing.add_done_callback(partial(self._committed, batch))

    def _committed(self, batch: Sequence[_Write], committing: asyncio.Future[list[_Outcome]]) -> None:
        self._committing.discard(committing)
        filled = False
        for write, outcome in zip(batch, committing.result(), strict=True):
            metrics.STORE_SECONDS.labels("write").observe(time.perf_counter() - write.asked_at)
            if outcome.error is not None:
                write.done.set_exception(outcome.error)
                continue
            self._bus.publish(write.events)
            filled = filled or outcome.filled
            write.done.set_result(outcome.result)
        if filled and self._on_filled is not None:
            self._on_filled()
        self._commit_waiting()

    def on_filled(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each commit that put deliveries into the outbox (see `mark_filled`)."""
        self._on_filled = listener

    async def close(self) -> None:
        """Finish what is being written and let go of the connections."""
        while self._committing:
            await asyncio.wait(self._committing)
        await asyncio.get_running_loop().run_in_executor(None, self.dispose)

    def dispose(self) -> None:
        """The same for a database that has no event loop."""
        self._write_threads.shutdown()
        self._read_threads.shutdown()
        self._writer.dispose()
        self._reader.dispose()


def mark_filled(connection: Connection) -> None:
    """Say that this transaction put something into the outbox."""
    connection.info[_FILLED] = True


def _commit(engine: Engine, works: Sequence[Callable[[Connection], Any]]) -> list[_Outcome]:
    together = _all_or_none(engine, works) if len(works) > 1 else None
    return together or [_alone(engine, work) for work in works]


def _all_or_none(engine: Engine, works: Sequence[Callable[[Connection], Any]]) -> list[_Outcome] | None:
    """All in one transaction; None if one of them failed, and then none has happened."""
    begun = False
    try:
        with engine.begin() as connection:
            begun = True
            return [_Outcome(*_run(connection, work)) for work in works]
    except (DBAPIError, PoolTimeout) as error:
        if begun:
            return None
        return [_Outcome(error=_unavailable(error)) for _ in works]  # waiting once is enough
    except Exception:
        return None


def _alone(engine: Engine, work: Callable[[Connection], Any]) -> _Outcome:
    try:
        return _Outcome(*_transact(engine, work))
    except Exception as error:
        return _Outcome(error=error)


def _run(connection: Connection, work: Callable[[Connection], T]) -> tuple[T, bool]:
    connection.info.pop(_FILLED, None)
    return work(connection), connection.info.pop(_FILLED, False)


def _transact(engine: Engine, work: Callable[[Connection], T]) -> tuple[T, bool]:
    for attempt in range(1, _TRIES + 1):
        try:
            with engine.begin() as connection:
                return _run(connection, work)
        except IntegrityError:
            raise
        except DataError as error:
            raise Invalid(
                "A text holds characters the database cannot keep.", "Leave out control characters."
            ) from error
        except (DBAPIError, PoolTimeout) as error:
            if attempt < _TRIES and _sqlstate(error) in _RETRIED:
                continue
            raise _unavailable(error) from error
    raise StoreUnavailable  # pragma: no cover - the loop returns or raises


def _unavailable(error: SQLAlchemyError) -> StoreUnavailable:
    _log.error("store.unavailable", problem=str(error.__cause__ or error))
    unavailable = StoreUnavailable()
    unavailable.__cause__ = error
    return unavailable


def _sqlstate(error: SQLAlchemyError) -> str | None:
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _sqlite_engine(url: str, begin: str, connections: int) -> Engine:
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ValueError("SQLite needs a file: reader and writer are different connections")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url, hide_parameters=True, pool_size=connections, max_overflow=0, connect_args={"timeout": 5}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins, not the driver
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
