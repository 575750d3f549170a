from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from dialroom.core.errors import NotFound, RoomEnded
from dialroom.core.events import Event
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.live import STORE_RETRY
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Organisation, Room
from dialroom.store.store import Store
from tests.support.clock import ManualClock
from tests.support.meetings import RecordingConnection, newcomer

from .conftest import Start, types, unavailable, until


@pytest.fixture
async def not_open_yet(rooms: Rooms, ours: Organisation, clock: ManualClock) -> Room:
    """A room that opens in five minutes."""
    return await rooms.create(ours.id, NewRoom(name="Room", opens_at=clock.now() + timedelta(minutes=5)))


async def who_waits(meetings: Meetings, room: Room, clock: ManualClock) -> asyncio.Task[None]:
    """Somebody who waits until the room can be entered."""
    before = clock.sleeping
    waiting = asyncio.create_task(meetings.wait_until_open(room))
    await until(lambda: clock.sleeping == before + 1)
    return waiting


async def test_a_participant_without_connection_is_lost_after_the_grace_time(
    start_meetings: Start, ours: Organisation, clock: ManualClock, published: list[Event]
) -> None:
    meetings = start_meetings(resume_grace=30.0, empty_grace=0.0)
    room = await meetings.rooms.create(ours.id, NewRoom(name="Room"))
    web = RecordingConnection()
    ann = await meetings.enter(room, newcomer(), web)
    await meetings.set_connected(ann.id, False)
    assert not meetings.participant(ann.id).connected
    await clock.advance(29)
    assert meetings.participant(ann.id).name == ann.name
    await clock.advance(1)
    assert await web.next() == ("removed", "lost")
    assert published[-2].data["participant"]["left_reason"] == "lost"
    with pytest.raises(NotFound):
        meetings.attach(ann.id, web)


async def test_who_comes_back_in_time_has_never_left(
    start_meetings: Start, ours: Organisation, clock: ManualClock, published: list[Event]
) -> None:
    meetings = start_meetings(resume_grace=30.0)
    room = await meetings.rooms.create(ours.id, NewRoom(name="Room"))
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    await meetings.set_connected(ann.id, False)
    await clock.advance(29)
    again = RecordingConnection()
    assert meetings.attach(ann.id, again) == ann
    await clock.advance(60)
    await meetings.set_muted(ann.id, True, "api")
    assert await again.next() == ("muted", True, "api")
    assert "participant.left" not in types(published)


async def test_an_empty_session_goes_on_for_the_grace_time(
    start_meetings: Start, ours: Organisation, clock: ManualClock, published: list[Event]
) -> None:
    meetings = start_meetings(empty_grace=5.0)
    room = await meetings.rooms.create(ours.id, NewRoom(name="Room"))
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    await meetings.leave(ann.id, "left")
    await clock.advance(4)
    ben = await meetings.enter(room, newcomer(), RecordingConnection())
    assert ben.session == ann.session
    await clock.advance(10)
    await meetings.leave(ben.id, "left")
    await clock.advance(5)
    await until(lambda: meetings.session_of(room.id) is None)
    assert types(published)[-1] == "session.ended"


async def test_a_session_ends_when_its_room_expires_even_if_that_was_set_later(
    meetings: Meetings, rooms: Rooms, room: Room, clock: ManualClock
) -> None:
    web = RecordingConnection()
    await meetings.enter(room, newcomer(), web)
    await rooms.change(room.organisation, room.id, expires_at=clock.now() + timedelta(hours=1))
    await rooms.change(room.organisation, room.id, expires_at=clock.now() + timedelta(hours=2))
    await clock.advance(3600)
    assert meetings.session_of(room.id) is not None
    await clock.advance(3600)
    assert await web.next() == ("removed", "ended")


async def test_a_room_that_expired_while_the_store_was_down_and_was_put_off_goes_on(
    meetings: Meetings,
    rooms: Rooms,
    ours: Organisation,
    clock: ManualClock,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Room", expires_at=clock.now() + timedelta(minutes=5)))
    await meetings.enter(room, newcomer(), RecordingConnection())
    with monkeypatch.context() as broken:
        broken.setattr(store.meetings, "write", unavailable)
        await clock.advance(300)
    await rooms.change(ours.id, room.id, expires_at=clock.now() + timedelta(minutes=5))
    await clock.advance(STORE_RETRY)
    await rooms.change(ours.id, room.id, name="Later")  # whatever was to be written before is
    assert meetings.session_of(room.id) is not None
    await clock.advance(300)
    await until(lambda: meetings.session_of(room.id) is None)


async def test_callers_wait_until_a_host_starts_the_session(
    meetings: Meetings, rooms: Rooms, ours: Organisation, clock: ManualClock
) -> None:
    expires = clock.now() + timedelta(minutes=5)
    room = await rooms.create(ours.id, NewRoom(name="Room", starts_with="host", expires_at=expires))
    waiting = [await who_waits(meetings, room, clock) for _ in range(3)]
    await clock.advance(299)
    assert not any(task.done() for task in waiting)
    await meetings.enter(room, newcomer(role="host"), RecordingConnection())
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    await meetings.enter(room, newcomer(), RecordingConnection())


async def test_callers_wait_until_the_room_opens(meetings: Meetings, not_open_yet: Room, clock: ManualClock) -> None:
    waiting = await who_waits(meetings, not_open_yet, clock)
    await clock.advance(299)
    assert not waiting.done()
    await clock.advance(1)
    await asyncio.wait_for(waiting, 5)
    await meetings.enter(not_open_yet, newcomer(), RecordingConnection())


async def test_a_room_opened_earlier_than_planned_is_entered_at_once(
    meetings: Meetings, rooms: Rooms, not_open_yet: Room, clock: ManualClock
) -> None:
    waiting = await who_waits(meetings, not_open_yet, clock)
    await rooms.change(not_open_yet.organisation, not_open_yet.id, opens_at=None)
    await asyncio.wait_for(waiting, 5)


async def test_who_waits_while_the_store_is_down_waits_on(
    meetings: Meetings, not_open_yet: Room, clock: ManualClock, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await who_waits(meetings, not_open_yet, clock)
    with monkeypatch.context() as broken:
        broken.setattr(store.rooms, "find", unavailable)
        await clock.advance(600)
        assert not waiting.done()
    await clock.advance(STORE_RETRY)
    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize("how", ["expires", "deleted"])
async def test_who_waits_for_a_room_that_never_opens_is_told(
    meetings: Meetings, rooms: Rooms, ours: Organisation, clock: ManualClock, how: str
) -> None:
    expires = clock.now() + timedelta(minutes=5)
    room = await rooms.create(ours.id, NewRoom(name="Room", starts_with="host", expires_at=expires))
    waiting = await who_waits(meetings, room, clock)
    if how == "expires":
        await clock.advance(300)
    else:
        await rooms.delete(ours.id, room.id)
    with pytest.raises(RoomEnded):
        await asyncio.wait_for(waiting, 5)
