"""The store as a whole: opened once, a part for each port."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import SQLAlchemyError

from dialroom.auth.idempotency import KEPT
from dialroom.auth.keys import new_api_key
from dialroom.core.bus import EventBus
from dialroom.core.clock import Clock
from dialroom.core.errors import ConfigError, StoreUnavailable
from dialroom.core.ids import new_id
from dialroom.rooms.codes import code_length, draw_code
from dialroom.rooms.directory import NewRoom, new_room
from dialroom.rooms.values import Number, Organisation, Room
from dialroom.store.access import SqlGuesses, SqlKeys, key_row
from dialroom.store.calls import SqlCalls
from dialroom.store.database import Database
from dialroom.store.dialled import Dialled
from dialroom.store.idempotency import SqlIdempotency
from dialroom.store.meetings import SqlMeetings
from dialroom.store.migrate import migrate
from dialroom.store.rooms import SqlGateways, SqlNumbers, SqlOrganisations, SqlRooms, number_row
from dialroom.store.tables import api_keys, numbers, organisations, rooms
from dialroom.store.vault import open_vault
from dialroom.store.webhooks import SqlWebhooks
from dialroom.webhooks.schedule import RETRY_FOR

DEMO_NUMBER: Final = "1000"
_BATCH: Final = 200
_log = structlog.get_logger("dialroom.store")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long events with their deliveries, and calls and sessions, are kept."""

    events: timedelta = timedelta(days=30)
    history: timedelta = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStart:
    """What the first start made. ``api_key`` is shown once; only its hash is kept."""

    organisation: Organisation
    api_key: str = field(repr=False)
    number: Number
    room: Room


class Store:
    """All that is kept. Make it with `Store.open`; `close` it at the end."""

    def __init__(self, database: Database, data_dir: Path, bus: EventBus) -> None:
        vault = open_vault(data_dir)
        self.bus = bus
        self._database = database
        self.organisations = SqlOrganisations(database, vault)
        dialled = Dialled()
        self.rooms = SqlRooms(database, vault, dialled)
        self.numbers = SqlNumbers(database, vault, dialled)
        self.gateways = SqlGateways(database, vault)
        self.meetings = SqlMeetings(database, self.rooms)
        self.calls = SqlCalls(database)
        self.keys = SqlKeys(database)
        self.guesses = SqlGuesses(database)
        self.idempotency = SqlIdempotency(database, vault)
        self.webhooks = SqlWebhooks(database, vault)

    @classmethod
    async def open(cls, url: str, data_dir: Path, bus: EventBus) -> Store:
        """Connect to the SQLAlchemy `url` and bring the schema up to date; events are published on `bus`.

        Raises ConfigError if the database or the key file cannot be used.
        """
        return await asyncio.to_thread(cls._open, url, data_dir, bus)

    @classmethod
    def _open(cls, url: str, data_dir: Path, bus: EventBus) -> Store:
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            database = Database(url, bus)
        except OSError as error:
            raise ConfigError(f"The data directory {data_dir} cannot be made: {error.strerror}.") from error
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise ConfigError(f"The database cannot be used: {error}", "Correct `database_url`.") from error
        try:
            if migrate(database.engine):
                _log.info("store.migrated")
            return cls(database, data_dir, bus)
        except SQLAlchemyError as error:
            database.dispose()
            detail = f"The database cannot be opened: {error.__cause__ or error}"
            raise ConfigError(detail, "Check `database_url`, and that the database is running.") from error
        except BaseException:
            database.dispose()
            raise

    async def close(self) -> None:
        """Finish what is being written and disconnect."""
        await self._database.close()

    async def check(self) -> None:
        """Raises StoreUnavailable if the database does not answer."""
        await self._database.read(lambda c: c.execute(select(1)).scalar_one())

    async def first_start(self, clock: Clock) -> FirstStart | None:
        """Make the organisation "default" with a key, the demo number and the demo room, all or nothing.

        None if there is an organisation already.
        """
        if await self.organisations.list():
            return None
        now = clock.now()
        organisation = Organisation(
            id=new_id("org"), name="default", token_secret=secrets.token_urlsafe(48), created_at=now
        )
        key, text = new_api_key(organisation.id, "first start", now)
        room = new_room(organisation.id, NewRoom(name="Demo room", code=draw_code(code_length(0))), now)
        number = Number(
            id=new_id("num"),
            organisation=organisation.id,
            number=DEMO_NUMBER,
            display=DEMO_NUMBER,
            country=None,
            language=None,
            dial_in=True,
            room=None,
            created_at=now,
        )

        def work(connection: Connection) -> bool:
            if connection.execute(select(organisations.c.id).limit(1)).one_or_none() is not None:
                return False
            connection.execute(insert(organisations), self.organisations.row(organisation))
            connection.execute(insert(api_keys), key_row(key))
            connection.execute(insert(rooms), self.rooms.row(room))
            connection.execute(insert(numbers), number_row(number))
            return True

        made = await self._database.write(work)
        return FirstStart(organisation=organisation, api_key=text, number=number, room=room) if made else None

    async def prune(self, clock: Clock, retention: Retention | None = None) -> None:
        """Forget what is kept for a time only: idempotency keys, drained guesses, old events and history.

        Gives up webhook deliveries that waited too long for a failing receiver. In small transactions, so that calls
        need not wait for it.
        """
        now, kept = clock.now(), retention or Retention()
        await _in_batches(lambda limit: self.idempotency.prune(now - KEPT, limit))
        await _in_batches(lambda limit: self.guesses.prune(now, limit))
        if given_up := await _in_batches(lambda limit: self.webhooks.give_up(now - RETRY_FOR, now, limit)):
            _log.warning("webhooks.given_up", deliveries=given_up)
        await _in_batches(lambda limit: self.webhooks.prune(now - kept.events, limit))
        await _in_batches(lambda limit: self.calls.prune(now - kept.history, limit))
        await _in_batches(lambda limit: self.meetings.prune(now - kept.history, limit))

    async def keep_pruned(
        self, clock: Clock, retention: Retention | None = None, every: timedelta = timedelta(hours=1)
    ) -> None:
        """Run `prune` for ever."""
        while True:
            try:
                await self.prune(clock, retention)
            except StoreUnavailable:
                _log.warning("store.prune_postponed")
            await clock.sleep(every.total_seconds())


async def _in_batches(prune: Callable[[int], Awaitable[int]]) -> int:
    """How many there were in all."""
    total = 0
    while (done := await prune(_BATCH)) == _BATCH:
        total += done
    return total + done
