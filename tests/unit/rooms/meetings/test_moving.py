from __future__ import annotations

import asyncio

import pytest

from dialroom.core.errors import NotFound, RoomFull
from dialroom.core.events import Event
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Organisation, Room
from tests.support.meetings import RecordingConnection, newcomer

from .conftest import types


async def test_a_phone_moves_to_a_breakout_room_and_keeps_who_it_is(
    meetings: Meetings, rooms: Rooms, room: Room, ours: Organisation, published: list[Event]
) -> None:
    breakout = await rooms.create(ours.id, NewRoom(name="Breakout", locked=True, starts_with="host"))
    phone = RecordingConnection()
    ann = await meetings.enter(room, newcomer("Ann", kind="phone", call="call_1", muted=True), phone)
    ben = await meetings.enter(room, newcomer("Ben"), RecordingConnection())
    there = await meetings.move(ann.id, breakout, "api")
    what, participant, where = await phone.next()
    assert (what, participant, where.id) == ("moved", there, breakout.id)
    assert (there.identity, there.name, there.call, there.muted) == (ann.identity, "Ann", "call_1", True)
    assert there.room == breakout.id
    assert meetings.participants(ann.session) == (ben,)
    assert meetings.participants(there.session) == (there,)
    assert [(event.type, event.subject) for event in published[-3:]] == [
        ("participant.left", ann.session),
        ("session.started", there.session),
        ("participant.joined", there.session),
    ]
    assert published[-3].data["participant"]["left_reason"] == "moved"


async def test_moving_the_last_one_ends_the_session_behind(
    meetings: Meetings, rooms: Rooms, room: Room, ours: Organisation, published: list[Event]
) -> None:
    other = await rooms.create(ours.id, NewRoom(name="Other"))
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    await meetings.move(ann.id, other, "api")
    assert meetings.session_of(room.id) is None
    assert "session.ended" in types(published)


async def test_a_full_room_takes_nobody_by_moving_either(
    meetings: Meetings, rooms: Rooms, room: Room, ours: Organisation
) -> None:
    small = await rooms.create(ours.id, NewRoom(name="Small", max_participants=1))
    await meetings.enter(small, newcomer(), RecordingConnection())
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    with pytest.raises(RoomFull):
        await meetings.move(ann.id, small, "api")
    assert meetings.participants(ann.session) == (ann,)


async def test_nobody_moves_into_another_organisations_room(
    meetings: Meetings, rooms: Rooms, room: Room, theirs: Organisation
) -> None:
    foreign = await rooms.create(theirs.id, NewRoom(name="Foreign"))
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    with pytest.raises(NotFound):
        await meetings.move(ann.id, foreign, "api")


async def test_two_who_swap_rooms_at_once_do_not_block_each_other(
    meetings: Meetings, rooms: Rooms, room: Room, ours: Organisation
) -> None:
    other = await rooms.create(ours.id, NewRoom(name="Other"))
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    ben = await meetings.enter(other, newcomer(), RecordingConnection())
    async with asyncio.timeout(5):
        a, b = await asyncio.gather(meetings.move(ann.id, other, "api"), meetings.move(ben.id, room, "api"))
    assert (a.room, b.room) == (other.id, room.id)
