from __future__ import annotations

import asyncio
import contextlib

from dialroom.core.errors import NotFound, RoomFull
from dialroom.core.events import Event
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.meetings import Meetings, MeetingSettings
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from tests.support.clock import ManualClock
from tests.support.meetings import RecordingConnection, newcomer

from .conftest import Start, types, until


async def test_a_new_process_takes_up_what_the_killed_one_left(
    start_meetings: Start, ours: Organisation, clock: ManualClock, published: list[Event]
) -> None:
    killed = start_meetings()
    room = await killed.rooms.create(ours.id, NewRoom(name="Room"))
    phone = await killed.enter(room, newcomer("Phone", kind="phone", call="call_1"), RecordingConnection())
    clock.set(1)
    web = await killed.enter(room, newcomer("Web"), RecordingConnection())
    clock.set(1)
    lost = await killed.enter(room, newcomer("Lost"), RecordingConnection())
    await killed.set_muted(phone.id, True, "self")
    published.clear()

    meetings = start_meetings(resume_grace=30.0)
    waiting = await meetings.adopt()
    assert [(each.id, each.connected, each.call) for each in waiting] == [
        (phone.id, False, "call_1"),
        (web.id, False, None),
        (lost.id, False, None),
    ]
    session = meetings.session_of(room.id)
    assert session is not None
    assert session.id == phone.session
    assert meetings.participant(phone.id).muted
    connection = RecordingConnection()
    assert meetings.attach(phone.id, connection).connected
    meetings.attach(web.id, RecordingConnection())
    await clock.advance(30)
    await until(lambda: len(meetings.participants(session.id)) == 2)
    assert [(event.type, event.data["participant"]["id"]) for event in published] == [("participant.left", lost.id)]
    await meetings.end(room.id, "api")
    assert await connection.next() == ("removed", "ended")


async def test_sessions_nobody_is_in_end_when_taken_up(
    start_meetings: Start, ours: Organisation, clock: ManualClock, published: list[Event], store: Store
) -> None:
    killed = start_meetings(empty_grace=60.0)
    room = await killed.rooms.create(ours.id, NewRoom(name="Room"))
    ann = await killed.enter(room, newcomer(), RecordingConnection())
    await killed.leave(ann.id, "left")
    clock.set(1)
    deleted = await killed.rooms.create(ours.id, NewRoom(name="Deleted"))
    ben = await killed.enter(deleted, newcomer(), RecordingConnection())
    await killed.close()
    await store.rooms.delete(ours.id, deleted.id)
    published.clear()
    meetings = start_meetings()
    assert await meetings.adopt() == ()
    assert types(published) == ["session.ended", "participant.left", "session.ended"]
    assert await store.meetings.running() == ()
    left = await store.meetings.find_participant(ours.id, ben.id)
    assert left is not None
    assert left.left_reason == "ended"


async def test_nobody_is_left_over_whatever_happens_at_once(
    meetings: Meetings, rooms: Rooms, ours: Organisation, store: Store
) -> None:
    one = await rooms.create(ours.id, NewRoom(name="One", max_participants=5))
    two = await rooms.create(ours.id, NewRoom(name="Two", max_participants=5))

    async def life(number: int) -> None:
        here, there = (one, two) if number % 2 else (two, one)
        with contextlib.suppress(NotFound, RoomFull):
            me = await meetings.enter(here, newcomer(identity=f"same-{number % 7}"), RecordingConnection())
            await meetings.set_muted(me.id, True, "api")
            me = await meetings.move(me.id, there, "api")
            if number % 5 == 0:
                await meetings.end(there.id, "api")
            await meetings.leave(me.id, "left")

    await asyncio.gather(*(life(number) for number in range(40)))
    for room in (one, two):
        if meetings.session_of(room.id) is not None:
            await meetings.end(room.id, "api")
    assert await store.meetings.running() == ()


def test_the_default_grace_times_are_those_promised() -> None:
    assert MeetingSettings() == MeetingSettings(resume_grace=30.0, empty_grace=3.0)
