from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text, update

from dialroom.auth.guesses import Counter, Scope
from dialroom.auth.idempotency import IdempotencyRecord
from dialroom.auth.keys import ApiKeys
from dialroom.calls.ports import CallFilter
from dialroom.calls.record import CallRecord, Step
from dialroom.core.answers import KeptAnswer
from dialroom.core.bus import EventBus
from dialroom.core.ending import Ending
from dialroom.core.errors import ConfigError, Conflict, NotFound, NumberTaken
from dialroom.core.events import Event, new_event
from dialroom.core.ids import new_id
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.values import Gateway, Number, Participant, Session, Tracks
from dialroom.store.store import DEMO_NUMBER, Store
from dialroom.store.tables import guesses, idempotency_keys, micros
from tests.support.clock import NOON, ManualClock
from tests.support.fixtures import make_organisation
from tests.support.store import open_sqlite_store

OURS = make_organisation("org_aaaaaaaaaaaaaaaaaaaa", "ours")
THEIRS = make_organisation("org_bbbbbbbbbbbbbbbbbbbb", "theirs")


@pytest.fixture
async def filled(any_store: Store) -> Store:
    """A store with two organisations, on each database."""
    await any_store.organisations.create(OURS)
    await any_store.organisations.create(THEIRS)
    return any_store


def _number(number: str = "+12025550176", organisation: str = OURS.id) -> Number:
    return Number(
        id=new_id("num"),
        organisation=organisation,
        number=number,
        display="+1 202-555-0176",
        country="US",
        language="es",
        dial_in=True,
        room=None,
        created_at=NOON,
    )


def _call(number: int = 0, **changes: object) -> CallRecord:
    record = CallRecord(
        id=new_id("call"),
        organisation=OURS.id,
        direction="inbound",
        from_number="+442079460018",
        to_number="1000",
        from_uri="sip:+442079460018@192.0.2.1",
        to_uri="sip:1000@192.0.2.2",
        source="udp:192.0.2.1:5060",
        sip_call_id="abc",
        received_at=NOON + timedelta(seconds=number),
    )
    return replace(record, **changes)  # type: ignore[arg-type]


async def test_everything_comes_back_as_it_was_kept(filled: Store) -> None:
    assert await filled.organisations.list() == (OURS, THEIRS)
    assert await filled.organisations.token_secret(OURS.id) == OURS.token_secret
    number = _number()
    await filled.numbers.create(number)
    assert await filled.numbers.find(OURS.id, number.id) == number
    gateway = Gateway(
        id=new_id("gw"),
        organisation=OURS.id,
        name="Carrier",
        addresses=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
        username="u",
        password="p4ssw0rd",
        region="US",
        created_at=NOON,
    )
    await filled.gateways.create(gateway)
    assert await filled.gateways.find(OURS.id, gateway.id) == gateway
    assert await filled.gateways.list() == (gateway,)
    session = Session(id=new_id("sess"), organisation=OURS.id, room="room_x", started_at=NOON)
    participant = Participant(
        id=new_id("part"),
        organisation=OURS.id,
        room="room_x",
        session=session.id,
        identity="ann",
        name="Ann 安",
        kind="phone",
        role="guest",
        muted=True,
        hand_raised=True,
        tracks=Tracks(microphone=True),
        phone_number="+12025550176",
        call="call_1",
        connected=False,
        joined_at=NOON,
    )
    await filled.meetings.write(sessions=[session], participants=[participant])
    assert await filled.meetings.find_participant(OURS.id, participant.id) == participant
    assert await filled.meetings.running() == ((session, None, (participant,)),)


async def test_one_organisation_finds_nothing_of_another(filled: Store, clock: ManualClock) -> None:
    number, call = _number(), _call()
    room = await Rooms(filled.rooms, clock).create(OURS.id, NewRoom(name="Room"))
    gateway = Gateway(
        id=new_id("gw"),
        organisation=OURS.id,
        name="g",
        addresses=(),
        username=None,
        password=None,
        region=None,
        created_at=NOON,
    )
    session = Session(id=new_id("sess"), organisation=OURS.id, room=room.id, started_at=NOON)
    await filled.numbers.create(number)
    await filled.gateways.create(gateway)
    await filled.calls.save(call)
    await filled.meetings.write(sessions=[session])
    other = THEIRS.id
    assert await filled.rooms.find(other, room.id) is None
    assert await filled.numbers.find(other, number.id) is None
    assert await filled.gateways.find(other, gateway.id) is None
    assert await filled.calls.get(other, call.id) is None
    assert await filled.meetings.find_session(other, session.id) is None
    for page in (
        await filled.rooms.page(other, None, None),
        await filled.numbers.page(other, None, None),
        await filled.gateways.page(other, None, None),
        await filled.calls.page(other, CallFilter()),
        await filled.meetings.page_sessions(other, None, None, None, None),
        await filled.keys.page(other, None, None),
    ):
        assert page.items == ()
    for change in (
        filled.rooms.delete(other, room.id),
        filled.rooms.change(replace(room, organisation=other)),
        filled.numbers.delete(other, number.id),
        filled.numbers.change(other, number.id, lambda before: before),
        filled.gateways.delete(other, gateway.id),
        filled.gateways.change(other, gateway.id, lambda before: before),
    ):
        with pytest.raises(NotFound):
            await change


async def test_a_number_is_set_up_once_per_organisation(filled: Store) -> None:
    mine, theirs = _number(), _number(organisation=THEIRS.id)
    await filled.numbers.create(mine)
    await filled.numbers.create(theirs)
    with pytest.raises(NumberTaken):
        await filled.numbers.create(_number())
    assert set(await filled.numbers.dialled("+12025550176")) == {mine, theirs}
    changed = await filled.numbers.change(OURS.id, mine.id, lambda before: replace(before, dial_in=False))
    assert changed == replace(mine, dial_in=False)
    assert await filled.numbers.list(OURS.id) == (changed,)
    await filled.numbers.delete(OURS.id, mine.id)
    assert await filled.numbers.list(OURS.id) == ()


async def test_deleting_a_room_leaves_its_number_and_its_history(filled: Store, clock: ManualClock) -> None:
    room = await Rooms(filled.rooms, clock).create(OURS.id, NewRoom(name="Room"))
    number = replace(_number(), room=room.id)
    await filled.numbers.create(number)
    session = Session(id=new_id("sess"), organisation=OURS.id, room=room.id, started_at=NOON, ended_at=NOON)
    await filled.meetings.write(sessions=[session])
    await filled.rooms.delete(OURS.id, room.id)
    assert await filled.numbers.find(OURS.id, number.id) == replace(number, room=None)
    assert await filled.meetings.find_session(OURS.id, session.id) == session


async def test_a_call_and_its_events_are_one(filled: Store, published: list[Event]) -> None:
    call = _call()
    event = new_event(OURS.id, "call.received", NOON, call.id, {"call": {"id": call.id}})
    await filled.calls.save(call, [event])
    assert published == [event]
    assert await filled.webhooks.find_event(OURS.id, event.id) == event
    published.clear()
    again = replace(event, data={"twice": True})
    changed = replace(call, state="answered")
    with pytest.raises(Exception, match=r"(?i)unique"):
        await filled.calls.save(changed, [again])
    assert await filled.calls.get(OURS.id, call.id) == call
    assert published == []


async def test_a_running_call_keeps_what_it_needs_to_resume(filled: Store) -> None:
    first, second = _call(1), _call(2)
    await filled.calls.save(second)
    await filled.calls.save(first, resume=b"dialog")
    assert [(each.record, each.resume) for each in await filled.calls.running()] == [
        (first, b"dialog"),
        (second, None),
    ]
    await filled.calls.save(first, resume=b"newer")
    await filled.calls.save(first.with_step(NOON, "answered"))
    assert (await filled.calls.running())[0].resume == b"newer"
    ended = replace(
        first,
        state="ended",
        ended_at=NOON,
        ending=Ending("completed", "caller_hung_up", 200, "caller"),
        steps=(Step(NOON, "answered", "x"),),
    )
    await filled.calls.save(ended)
    await filled.calls.save(ended, resume=b"too late")
    assert [each.record for each in await filled.calls.running()] == [second]
    assert await filled.calls.get(OURS.id, first.id) == ended


def _gateway(name: str, username: str | None) -> Gateway:
    return Gateway(
        id=new_id("gw"),
        organisation=OURS.id,
        name=name,
        addresses=(ip_network("192.0.2.0/24"),),
        username=username,
        password=None if username is None else "secret of the trunk",
        region=None,
        created_at=NOON,
    )


async def test_of_gateways_made_at_once_with_one_username_one_is_made(filled: Store) -> None:
    made = await asyncio.gather(
        *(filled.gateways.create(_gateway(f"Trunk {each}", "trunk")) for each in range(8)), return_exceptions=True
    )
    assert made.count(None) == 1
    assert sum(isinstance(each, Conflict) for each in made) == 7
    for name in ("PBX", "Door"):  # without a username there is nothing to share
        await filled.gateways.create(_gateway(name, None))
    other = _gateway("Other", "other")
    await filled.gateways.create(other)
    with pytest.raises(Conflict):
        await filled.gateways.change(OURS.id, other.id, lambda before: replace(before, username="trunk"))


async def test_of_changes_at_once_none_is_lost(filled: Store) -> None:
    number, gateway = _number(), _gateway("Trunk", "trunk")
    await filled.numbers.create(number)
    await filled.gateways.create(gateway)
    await asyncio.gather(
        *(
            filled.numbers.change(OURS.id, number.id, lambda before: replace(before, display=before.display + "+"))
            for _ in range(10)
        ),
        *(
            filled.gateways.change(OURS.id, gateway.id, lambda before: replace(before, name=before.name + "+"))
            for _ in range(10)
        ),
    )
    assert await filled.numbers.find(OURS.id, number.id) == replace(number, display=number.display + 10 * "+")
    assert await filled.gateways.find(OURS.id, gateway.id) == replace(gateway, name="Trunk" + 10 * "+")


async def test_a_change_that_is_refused_changes_nothing(filled: Store) -> None:
    def refuse(_: object) -> Gateway:
        raise Conflict

    gateway = _gateway("Trunk", "trunk")
    await filled.gateways.create(gateway)
    with pytest.raises(Conflict):
        await filled.gateways.change(OURS.id, gateway.id, refuse)
    assert await filled.gateways.list() == (gateway,)


async def test_a_number_leads_only_into_a_room_that_is_there(filled: Store, clock: ManualClock) -> None:
    rooms = Rooms(filled.rooms, clock)
    number, theirs = _number(), await rooms.create(THEIRS.id, NewRoom(name="Theirs"))
    await filled.numbers.create(number)
    for room in ("room_gone", theirs.id):
        with pytest.raises(NotFound, match="room"):
            await filled.numbers.create(replace(_number("1000"), room=room))
        with pytest.raises(NotFound, match="room"):
            await filled.numbers.change(OURS.id, number.id, partial(replace, room=room))
    assert await filled.numbers.list(OURS.id) == (number,)


async def test_no_number_is_led_into_a_room_that_is_just_deleted(filled: Store, clock: ManualClock) -> None:
    rooms, number = Rooms(filled.rooms, clock), _number()
    await filled.numbers.create(number)
    for _ in range(20):
        room = await rooms.create(OURS.id, NewRoom(name="Room"))
        led, _ = await asyncio.gather(
            filled.numbers.change(OURS.id, number.id, partial(replace, room=room.id)),
            filled.rooms.delete(OURS.id, room.id),
            return_exceptions=True,
        )
        assert isinstance(led, Number | NotFound)
        assert await filled.numbers.find(OURS.id, number.id) == number


async def test_calls_are_listed_by_what_is_asked(filled: Store) -> None:
    calls = [_call(n, state="ended" if n % 2 else "answered", room=f"room_{n % 3}") for n in range(6)]
    for call in calls:
        await filled.calls.save(call)

    async def found(which: CallFilter) -> list[int]:
        page = await filled.calls.page(OURS.id, which)
        return [calls.index(call) for call in page.items]

    assert await found(CallFilter()) == [5, 4, 3, 2, 1, 0]
    assert await found(CallFilter(state="ended")) == [5, 3, 1]
    assert await found(CallFilter(room="room_0")) == [3, 0]
    assert await found(CallFilter(number="1000", since=calls[2].received_at, until=calls[4].received_at)) == [3, 2]
    assert await found(CallFilter(number="+49")) == []
    first = await filled.calls.page(OURS.id, CallFilter(), limit=4)
    rest = await filled.calls.page(OURS.id, CallFilter(), limit=4, cursor=first.next_cursor)
    assert [*first.items, *rest.items] == calls[::-1]
    assert rest.next_cursor is None


async def test_pages_hold_everything_once_when_times_are_equal(filled: Store) -> None:
    sessions = [
        Session(id=new_id("sess"), organisation=OURS.id, room="room_x", started_at=NOON, ended_at=NOON)
        for _ in range(10)
    ]
    await filled.meetings.write(sessions=sessions)
    listed: list[Session] = []
    cursor: str | None = None
    while True:
        page = await filled.meetings.page_sessions(OURS.id, "room_x", False, cursor, 3)
        listed += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert listed == sorted(sessions, key=lambda session: session.id, reverse=True)
    assert (await filled.meetings.page_sessions(OURS.id, None, True, None, None)).items == ()


async def test_guesses_and_keys_work_on_every_database(filled: Store, clock: ManualClock) -> None:
    keys: list[tuple[Scope, str]] = [("number", "a"), ("caller", "b")]

    def allowed(before: Sequence[Counter]) -> bool:
        return max(counter.wrong(NOON) for counter in before) < 10

    await asyncio.gather(*(filled.guesses.count(keys, NOON, allowed) for _ in range(20)))
    assert {counter.wrong(NOON) for counter in await filled.guesses.counters(keys)} == {10}
    assert await filled.guesses.count(keys, NOON, allowed) is None
    later = NOON + timedelta(hours=1)
    counters = await filled.guesses.count(keys, later, lambda _: True)
    assert [(counter.wrong(later), counter.told_at) for counter in counters or ()] == [(1, None)] * 2
    _, text = await ApiKeys(filled.keys, clock).create(OURS.id, "k")
    assert (await ApiKeys(filled.keys, clock).authenticate(text)).organisation == OURS.id
    record = IdempotencyRecord(organisation=OURS.id, key="k", request_hash=b"h", started_at=NOON)
    tries = await asyncio.gather(*(filled.idempotency.claim(record, NOON, NOON) for _ in range(10)))
    assert tries.count(None) == 1
    assert tries.count(record) == 9


async def test_an_answer_kept_for_its_idempotency_key_is_sealed(filled: Store) -> None:
    record = IdempotencyRecord(organisation=OURS.id, key="k", request_hash=b"h", started_at=NOON)
    await filled.idempotency.claim(record, NOON, NOON)
    await filled.idempotency.finish(KeptAnswer(OURS.id, "k", 201, b'{"secret":"whsec_hush"}'))
    kept = await filled._database.read(lambda c: c.execute(select(idempotency_keys.c.body)).scalar_one())
    assert b"hush" not in bytes(kept)
    again = await filled.idempotency.claim(record, NOON, NOON)
    assert again is not None
    assert again.body == b'{"secret":"whsec_hush"}'


async def test_what_is_kept_for_a_time_is_forgotten_after_it(filled: Store, clock: ManualClock) -> None:
    old = _call(state="ended")
    going = _call(state="answered")
    event = new_event(OURS.id, "call.received", NOON, old.id, {})
    await filled.calls.save(old, [event])
    await filled.calls.save(going)
    ended = Session(id=new_id("sess"), organisation=OURS.id, room="room_x", started_at=NOON, ended_at=NOON)
    running = Session(id=new_id("sess"), organisation=OURS.id, room="room_x", started_at=NOON)
    await filled.meetings.write(sessions=[ended, running])
    clock.set(timedelta(days=29).total_seconds())
    await filled.prune(clock)
    assert await filled.webhooks.find_event(OURS.id, event.id) is not None
    clock.set(timedelta(days=2).total_seconds())
    await filled.prune(clock)
    assert await filled.webhooks.find_event(OURS.id, event.id) is None
    assert await filled.calls.get(OURS.id, old.id) == old
    clock.set(timedelta(days=335).total_seconds())
    await filled.prune(clock)
    assert await filled.calls.get(OURS.id, old.id) is None
    assert await filled.calls.get(OURS.id, going.id) == going
    assert await filled.meetings.find_session(OURS.id, ended.id) is None
    assert await filled.meetings.find_session(OURS.id, running.id) == running


async def test_the_first_start_makes_all_one_needs_and_the_second_nothing(any_store: Store, clock: ManualClock) -> None:
    first = await any_store.first_start(clock)
    assert first is not None
    assert first.api_key not in repr(first)
    assert (await ApiKeys(any_store.keys, clock).authenticate(first.api_key)).organisation == first.organisation.id
    assert await any_store.numbers.dialled(DEMO_NUMBER) == (first.number,)
    assert first.room.code is not None
    match = await Rooms(any_store.rooms, clock).match_code(first.number, first.room.code)
    assert match.room == first.room
    assert await any_store.first_start(clock) is None
    assert await any_store.organisations.list() == (first.organisation,)


async def test_a_code_is_found_by_its_first_digits_in_whatever_language_the_database_sorts(
    migrated_postgres_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    engine = create_engine(migrated_postgres_url)
    with engine.begin() as connection:
        connection.execute(text('ALTER TABLE rooms ALTER COLUMN code TYPE text COLLATE "en-x-icu"'))
    engine.dispose()
    store = await Store.open(migrated_postgres_url, tmp_path, EventBus())
    await store.organisations.create(OURS)
    rooms = Rooms(store.rooms, clock)
    for code in ("4711", "471199", "9912", "99129"):
        await rooms.create(OURS.id, NewRoom(name=code, code=code))
    kinds = {digits: (await rooms.match_code(_number(), digits)).kind for digits in ("47", "4711", "47119", "99", "98")}
    assert kinds == {"47": "partial", "4711": "unique", "47119": "partial", "99": "partial", "98": "none"}
    assert set(await store.rooms.codes_related_to(OURS.id, "47119")) == {"4711", "471199"}
    assert set(await store.rooms.codes_related_to(OURS.id, "99")) == {"9912", "99129"}
    await store.close()


async def test_a_wrong_try_counted_while_drained_ones_are_forgotten_is_not_forgotten(
    migrated_postgres_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    keys: list[tuple[Scope, str]] = [("number", "org_a:1000")]
    store = await Store.open(migrated_postgres_url, tmp_path, EventBus())
    await store.guesses.count(keys, clock.now(), lambda counters: True)
    clock.set(3600.0)
    engine = create_engine(migrated_postgres_url)
    with engine.connect() as counting, engine.connect() as watching:
        counting.execute(update(guesses).values(drained_at=micros(clock.now() + timedelta(seconds=9))))
        pruning = asyncio.create_task(store.guesses.prune(clock.now(), 10))
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE%'")
        async with asyncio.timeout(10):
            while watching.execute(waiting).scalar_one() == 0:
                watching.rollback()
                await asyncio.sleep(0)
        counting.commit()
        assert await pruning == 0
    engine.dispose()
    (counter,) = await store.guesses.counters(keys)
    assert counter.wrong(clock.now()) == 1
    await store.close()


async def test_two_first_starts_at_once_make_one_organisation(store: Store, clock: ManualClock) -> None:
    made = await asyncio.gather(*(store.first_start(clock) for _ in range(5)))
    assert sum(each is not None for each in made) == 1


async def test_secrets_are_not_in_the_database_file(tmp_path: Path, clock: ManualClock) -> None:
    store = await open_sqlite_store(tmp_path)
    first = await store.first_start(clock)
    assert first is not None
    await Rooms(store.rooms, clock).change(first.organisation.id, first.room.id, pin="8294061573")
    await store.close()
    content = b"".join(file.read_bytes() for file in tmp_path.glob("dialroom.db*"))  # noqa: ASYNC240
    for secret in ("8294061573", first.api_key, first.organisation.token_secret, first.room.host_key):
        assert secret.encode() not in content


async def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "dialroom.db").write_bytes(b"this is no database, though it is long enough to be one" * 20)
    with pytest.raises(ConfigError, match="cannot be opened"):
        await open_sqlite_store(tmp_path)
    with pytest.raises(ConfigError):
        await Store.open("postgresql+psycopg://u@127.0.0.1:1/none", tmp_path, EventBus())
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="data directory"):
        await open_sqlite_store(tmp_path / "file" / "below")


async def test_a_lost_key_file_is_noticed_before_anything_is_overwritten(tmp_path: Path, clock: ManualClock) -> None:
    store = await open_sqlite_store(tmp_path)
    await store.first_start(clock)
    await store.close()
    (tmp_path / "secret.key").unlink()
    store = await open_sqlite_store(tmp_path)
    with pytest.raises(Exception, match="another key"):
        await store.first_start(clock)
    await store.close()
    with sqlite3.connect(tmp_path / "dialroom.db") as connection:
        assert connection.execute("SELECT count(*) FROM organisations").fetchone() == (1,)
