from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from dialroom.core.errors import DialroomError, RoomEnded, RoomFull, RoomLocked, RoomNotOpen, StoreUnavailable
from dialroom.core.events import Event
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Organisation, Room
from dialroom.store.store import Store
from tests.support.clock import ManualClock
from tests.support.meetings import RecordingConnection, newcomer

from .conftest import Start, types, unavailable, until


async def test_the_first_to_enter_starts_the_session_and_the_last_to_leave_ends_it(
    meetings: Meetings, room: Room, published: list[Event], store: Store
) -> None:
    assert meetings.session_of(room.id) is None
    ann = await meetings.enter(room, newcomer("Ann"), RecordingConnection())
    session = meetings.session_of(room.id)
    assert session is not None
    ben = await meetings.enter(room, newcomer("Ben", kind="phone", phone_number="+12025550176"), RecordingConnection())
    assert meetings.participants(session.id) == (ann, ben)
    await meetings.leave(ann.id, "left")
    await meetings.leave(ben.id, "left")
    assert meetings.session_of(room.id) is None
    assert meetings.participants(session.id) == ()
    assert types(published) == [
        "session.started",
        "participant.joined",
        "participant.joined",
        "participant.left",
        "participant.left",
        "session.ended",
    ]
    assert {event.subject for event in published} == {session.id}
    joined = published[2].data["participant"]
    assert (joined["kind"], joined["phone_number"]) == ("phone", "+12025550176")
    stored = await store.meetings.find_session(room.organisation, session.id)
    assert stored is not None
    assert stored.ended_at is not None
    left = await store.meetings.find_participant(room.organisation, ben.id)
    assert left is not None
    assert (left.left_reason, left.left_at) == ("left", stored.ended_at)


async def test_a_phone_speaks_from_the_start_and_a_browser_when_it_says_so(meetings: Meetings, room: Room) -> None:
    phone = await meetings.enter(room, newcomer("Caller", kind="phone"), RecordingConnection())
    browser = await meetings.enter(room, newcomer("Ada"), RecordingConnection())
    assert (phone.tracks.microphone, browser.tracks.microphone) == (True, False)


async def test_leaving_twice_is_leaving_once(meetings: Meetings, room: Room, published: list[Event]) -> None:
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    await asyncio.gather(*(meetings.leave(ann.id, "left") for _ in range(5)))
    assert types(published).count("participant.left") == 1


async def test_of_two_at_the_last_seat_one_gets_it(meetings: Meetings, rooms: Rooms, ours: Organisation) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Small", max_participants=3))
    tries = await asyncio.gather(
        *(meetings.enter(room, newcomer(), RecordingConnection()) for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(each, RoomFull) for each in tries) == 7
    session = meetings.session_of(room.id)
    assert session is not None
    assert len(meetings.participants(session.id)) == 3


async def test_many_at_once_start_one_session(meetings: Meetings, room: Room, published: list[Event]) -> None:
    people = await asyncio.gather(*(meetings.enter(room, newcomer(), RecordingConnection()) for _ in range(20)))
    assert len({each.session for each in people}) == 1
    assert types(published).count("session.started") == 1


async def test_the_same_identity_again_replaces_the_first(meetings: Meetings, room: Room) -> None:
    old, new = RecordingConnection(), RecordingConnection()
    first = await meetings.enter(room, newcomer(identity="ann"), old)
    second = await meetings.enter(room, newcomer(identity="ann"), new)
    assert await old.next() == ("removed", "replaced")
    assert meetings.participants(first.session) == (second,)
    assert first.id != second.id
    assert new.told == []


async def test_a_reload_gets_back_into_a_full_locked_room(meetings: Meetings, rooms: Rooms, ours: Organisation) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Small", max_participants=1))
    await meetings.enter(room, newcomer(identity="ann"), RecordingConnection())
    await meetings.lock(room.id, True, "api")
    await meetings.enter(room, newcomer(identity="ann"), RecordingConnection())
    with pytest.raises(RoomLocked):
        await meetings.enter(room, newcomer(identity="ben"), RecordingConnection())


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"locked": True}, RoomLocked),
        ({"starts_with": "host"}, RoomNotOpen),
        ({"opens_at": ManualClock().now() + timedelta(minutes=1)}, RoomNotOpen),
        ({"expires_at": ManualClock().now()}, RoomEnded),
    ],
)
async def test_a_closed_room_lets_nobody_in_and_starts_no_session(
    meetings: Meetings,
    rooms: Rooms,
    ours: Organisation,
    published: list[Event],
    settings: dict[str, Any],
    refusal: type[DialroomError],
) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Closed", **settings))
    with pytest.raises(refusal):
        await meetings.enter(room, newcomer(), RecordingConnection())
    assert meetings.session_of(room.id) is None
    assert published == []


async def test_a_room_is_judged_as_it_is_now_not_as_the_caller_knew_it(
    meetings: Meetings, rooms: Rooms, room: Room
) -> None:
    await rooms.change(room.organisation, room.id, locked=True)
    with pytest.raises(RoomLocked):
        await meetings.enter(room, newcomer(), RecordingConnection())
    await rooms.delete(room.organisation, room.id)
    with pytest.raises(RoomEnded):
        await meetings.enter(room, newcomer(), RecordingConnection())


async def test_who_gives_up_while_entering_is_not_left_behind(meetings: Meetings, room: Room) -> None:
    entering = asyncio.create_task(meetings.enter(room, newcomer(), RecordingConnection()))
    await asyncio.sleep(0)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await meetings.settled()
    assert meetings.session_of(room.id) is None


async def test_a_change_the_store_refuses_changes_nothing(
    meetings: Meetings, room: Room, store: Store, monkeypatch: pytest.MonkeyPatch, published: list[Event]
) -> None:
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    published.clear()

    monkeypatch.setattr(store.meetings, "write", unavailable)
    for change in (
        meetings.enter(room, newcomer(), RecordingConnection()),
        meetings.set_muted(ann.id, True, "api"),
        meetings.end(room.id, "api"),
    ):
        with pytest.raises(StoreUnavailable):
            await change
    assert meetings.participants(ann.session) == (ann,)
    assert published == []


async def test_who_leaves_while_the_store_is_down_has_left_when_it_is_back(
    meetings: Meetings,
    room: Room,
    store: Store,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    published: list[Event],
) -> None:
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    with monkeypatch.context() as broken:
        broken.setattr(store.meetings, "write", unavailable)
        await meetings.leave(ann.id, "left")
        await clock.advance(10)
        assert meetings.participants(ann.session) == (ann,)
    await clock.advance(10)
    await until(lambda: meetings.session_of(room.id) is None)
    assert published[-2].data["participant"]["left_reason"] == "left"


async def test_a_lost_participant_is_gone_even_if_the_store_was_down_at_that_moment(
    start_meetings: Start, ours: Organisation, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    meetings = start_meetings(resume_grace=30.0, empty_grace=0.0)
    room = await meetings.rooms.create(ours.id, NewRoom(name="Room"))
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    await meetings.set_connected(ann.id, False)
    with monkeypatch.context() as broken:
        broken.setattr(store.meetings, "write", unavailable)
        await clock.advance(60)
        assert meetings.session_of(room.id) is not None
    await clock.advance(10)
    await until(lambda: meetings.session_of(room.id) is None)
