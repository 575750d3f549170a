"""Fixtures of everything that needs a store. A package's conftest imports what it uses."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, create_engine, text

from dialroom.core.bus import EventBus
from dialroom.core.events import Event
from dialroom.rooms.directory import Rooms
from dialroom.rooms.meetings import Meetings, MeetingSettings
from dialroom.rooms.values import Organisation
from dialroom.store.migrate import migrate
from dialroom.store.store import Store
from tests.support.clock import NOON, ManualClock
from tests.support.store import find_postgres_programs, open_sqlite_store, private_postgres


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database file, to be copied."""
    file = tmp_path_factory.mktemp("template") / "dialroom.db"
    engine = create_engine(f"sqlite:///{file}")
    migrate(engine)
    engine.dispose()
    return file


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL for the session: the one ``TEST_POSTGRESQL_URL`` names, else a private one."""
    named = os.environ.get("TEST_POSTGRESQL_URL")
    if named:
        yield named.rstrip("/")
        return
    programs = find_postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql): the store is tested on SQLite only")
    with private_postgres(programs) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a migrated, empty database, to be copied."""
    name = "dialroom_template"
    with _administration(postgres_server) as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(f"{postgres_server}/{name}")
    migrate(engine)
    engine.dispose()
    return name


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A new, empty database."""
    with _new_database(postgres_server, "template1") as url:
        yield url


@pytest.fixture
def migrated_postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A new database with our tables."""
    with _new_database(postgres_server, postgres_template) as url:
        yield url


@contextmanager
def _new_database(server: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    with _administration(server) as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield f"{server}/{name}"
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def _administration(server: str) -> Iterator[Connection]:
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


@pytest.fixture
def published(bus: EventBus) -> list[Event]:
    """Every event published since the test began."""
    events: list[Event] = []
    bus.subscribe(events.append)
    return events


@pytest.fixture
async def store(tmp_path: Path, sqlite_template: Path, bus: EventBus) -> AsyncIterator[Store]:
    """An empty store on SQLite."""
    shutil.copy(sqlite_template, tmp_path / "dialroom.db")
    store = await open_sqlite_store(tmp_path, bus)
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_store(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path, bus: EventBus
) -> AsyncIterator[Store]:
    """An empty store, once on each database."""
    if request.param == "sqlite":
        shutil.copy(sqlite_template, tmp_path / "dialroom.db")
        store = await open_sqlite_store(tmp_path, bus)
    else:
        store = await Store.open(request.getfixturevalue("migrated_postgres_url"), tmp_path, bus)
    yield store
    await store.close()


@pytest.fixture
def organisation() -> Organisation:
    """An organisation, not stored."""
    return make_organisation("org_aaaaaaaaaaaaaaaaaaaa", "ours")


@pytest.fixture
async def ours(store: Store, organisation: Organisation) -> Organisation:
    """Our organisation, stored."""
    await store.organisations.create(organisation)
    return organisation


@pytest.fixture
async def theirs(store: Store) -> Organisation:
    """Another organisation, stored."""
    other = make_organisation("org_bbbbbbbbbbbbbbbbbbbb", "theirs")
    await store.organisations.create(other)
    return other


@pytest.fixture
def rooms(store: Store, clock: ManualClock) -> Rooms:
    return Rooms(store.rooms, clock)


@pytest.fixture
async def start_meetings(store: Store, clock: ManualClock) -> AsyncIterator[Callable[..., Meetings]]:
    """Makes `Meetings` on the store, as a new process would; all are closed at the end."""
    made: list[Meetings] = []

    def start(**settings: float) -> Meetings:
        meetings = Meetings(Rooms(store.rooms, clock), store.meetings, clock, MeetingSettings(**settings))
        made.append(meetings)
        return meetings

    yield start
    for meetings in made:
        await meetings.close()


def make_organisation(id_: str, name: str) -> Organisation:
    return Organisation(
        id=id_, name=name, token_secret=f"secret of {name}, long enough for HS512".ljust(64, "!"), created_at=NOON
    )
