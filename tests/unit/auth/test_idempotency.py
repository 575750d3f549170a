from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, delete, event, insert

from dialroom.auth.idempotency import ABANDONED_AFTER, KEPT, Idempotency, Replay
from dialroom.core.answers import KeptAnswer
from dialroom.core.bus import EventBus
from dialroom.core.errors import DialroomError, IdempotencyInProgress, IdempotencyMismatch, Invalid
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from dialroom.store.tables import idempotency_keys, micros
from tests.support.clock import ManualClock

REQUEST = ("POST", "/api/rooms", b'{"name":"Room"}')


@pytest.fixture
def idempotency(store: Store, clock: ManualClock) -> Idempotency:
    return Idempotency(store.idempotency, clock)


async def test_the_same_request_again_gets_the_same_answer(idempotency: Idempotency, ours: Organisation) -> None:
    assert await idempotency.begin(ours.id, "k", *REQUEST) is None
    await idempotency.finish(KeptAnswer(ours.id, "k", 201, b"made"))
    assert await idempotency.begin(ours.id, "k", *REQUEST) == Replay(201, b"made")


async def test_of_many_at_once_one_is_carried_out(idempotency: Idempotency, ours: Organisation) -> None:
    tries = await asyncio.gather(
        *(idempotency.begin(ours.id, "k", *REQUEST) for _ in range(20)), return_exceptions=True
    )
    assert tries.count(None) == 1
    assert sum(isinstance(each, IdempotencyInProgress) for each in tries) == 19


@pytest.mark.parametrize(
    "other", [("POST", "/api/rooms", b"{}"), ("POST", "/api/calls", REQUEST[2]), ("PUT", *REQUEST[1:])]
)
async def test_a_key_belongs_to_one_request(
    idempotency: Idempotency, ours: Organisation, other: tuple[str, str, bytes]
) -> None:
    await idempotency.begin(ours.id, "k", *REQUEST)
    await idempotency.finish(KeptAnswer(ours.id, "k", 201, b"made"))
    with pytest.raises(IdempotencyMismatch):
        await idempotency.begin(ours.id, "k", *other)


async def test_organisations_do_not_share_keys(
    idempotency: Idempotency, ours: Organisation, theirs: Organisation
) -> None:
    await idempotency.begin(ours.id, "k", *REQUEST)
    await idempotency.finish(KeptAnswer(ours.id, "k", 201, b"ours"))
    assert await idempotency.begin(theirs.id, "k", *REQUEST) is None


async def test_a_request_that_failed_frees_its_key(idempotency: Idempotency, ours: Organisation) -> None:
    await idempotency.begin(ours.id, "k", *REQUEST)
    await idempotency.abandon(ours.id, "k")
    assert await idempotency.begin(ours.id, "k", *REQUEST) is None


async def test_a_finished_key_cannot_be_abandoned(idempotency: Idempotency, ours: Organisation) -> None:
    await idempotency.begin(ours.id, "k", *REQUEST)
    await idempotency.finish(KeptAnswer(ours.id, "k", 201, b"made"))
    await idempotency.abandon(ours.id, "k")
    assert await idempotency.begin(ours.id, "k", *REQUEST) == Replay(201, b"made")


async def test_an_answer_is_kept_for_a_day(idempotency: Idempotency, ours: Organisation, clock: ManualClock) -> None:
    await idempotency.begin(ours.id, "k", *REQUEST)
    await idempotency.finish(KeptAnswer(ours.id, "k", 201, b"made"))
    clock.set(KEPT.total_seconds())
    assert await idempotency.begin(ours.id, "k", *REQUEST) == Replay(201, b"made")
    clock.set(1)
    assert await idempotency.begin(ours.id, "k", *REQUEST) is None


async def test_a_key_left_by_a_killed_process_is_free_after_a_while(
    idempotency: Idempotency, ours: Organisation, clock: ManualClock
) -> None:
    await idempotency.begin(ours.id, "k", *REQUEST)
    clock.set(ABANDONED_AFTER.total_seconds())
    with pytest.raises(IdempotencyInProgress):
        await idempotency.begin(ours.id, "k", *REQUEST)
    clock.set(1)
    assert await idempotency.begin(ours.id, "k", *REQUEST) is None


@pytest.mark.parametrize("key", ["", "x" * 201, "é", "a\nb"])
async def test_a_key_must_be_short_visible_text(idempotency: Idempotency, ours: Organisation, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        await idempotency.begin(ours.id, key, *REQUEST)
    assert isinstance(refused.value, DialroomError)
    assert refused.value.field == "Idempotency-Key"


@pytest.fixture
async def shared(migrated_postgres_url: str, tmp_path: Path, organisation: Organisation) -> AsyncIterator[Store]:
    """A store on a database in which others write at the same time."""
    store = await Store.open(migrated_postgres_url, tmp_path, EventBus())
    await store.organisations.create(organisation)
    yield store
    await store.close()


@pytest.fixture
def elsewhere(migrated_postgres_url: str) -> Iterator[Engine]:
    """Another process's way to that database."""
    engine = create_engine(migrated_postgres_url)
    yield engine
    engine.dispose()


def _after_each(store: Store, beginning: str, then: Callable[[], None]) -> None:
    """Calls `then` after each statement of the store that begins like this."""

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(beginning):
            then()

    event.listen(store._database.engine, "after_cursor_execute", executed)


async def test_a_key_given_up_while_it_is_asked_for_is_free(
    shared: Store, elsewhere: Engine, organisation: Organisation, clock: ManualClock
) -> None:
    idempotency = Idempotency(shared.idempotency, clock)
    assert await idempotency.begin(organisation.id, "k", *REQUEST) is None
    gone: list[int] = []

    def give_up() -> None:
        if not gone:
            with elsewhere.begin() as connection:
                gone.append(connection.execute(delete(idempotency_keys)).rowcount)

    _after_each(shared, "INSERT INTO idempotency_keys", give_up)
    assert await idempotency.begin(organisation.id, "k", *REQUEST) is None
    assert gone == [1]


async def test_a_key_that_others_take_and_give_up_all_the_time_is_in_use(
    shared: Store, elsewhere: Engine, organisation: Organisation, clock: ManualClock
) -> None:
    theirs = {"organisation": organisation.id, "key": "k", "request_hash": b"theirs", "started_at": micros(clock.now())}

    def take() -> None:
        with elsewhere.begin() as connection:
            connection.execute(insert(idempotency_keys), theirs)

    def give_up() -> None:
        with elsewhere.begin() as connection:
            connection.execute(delete(idempotency_keys))

    take()
    _after_each(shared, "INSERT INTO idempotency_keys", give_up)
    _after_each(shared, "SELECT idempotency_keys", take)
    with pytest.raises(IdempotencyInProgress):
        await Idempotency(shared.idempotency, clock).begin(organisation.id, "k", *REQUEST)
