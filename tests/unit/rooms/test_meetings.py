from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dialroom.core.errors import (
    DialroomError,
    Invalid,
    NotFound,
    RemovedFromSession,
    RoomEnded,
    RoomFull,
    RoomLocked,
    RoomNotOpen,
    StoreUnavailable,
)
from dialroom.core.events import Event
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.happenings import (
    MeetingEvent,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    RoomUpdated,
    SessionEnded,
)
from dialroom.rooms.meetings import Meetings, MeetingSettings
from dialroom.rooms.values import Organisation, Room, Tracks
from dialroom.store.store import Store
from tests.support.clock import ManualClock
from tests.support.meetings import RecordingConnection, newcomer

Start = Callable[..., Meetings]


@pytest.fixture
async def meetings(start_meetings: Start) -> Meetings:
    return start_meetings(empty_grace=0.0)


@pytest.fixture
async def rooms(meetings: Meetings) -> Rooms:
    """The directory the meetings listen to."""
    return meetings.rooms


@pytest.fixture
async def room(rooms: Rooms, ours: Organisation) -> Room:
    return await rooms.create(ours.id, NewRoom(name="Room"))


def _types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for work that goes through the store's threads."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a thread's end sets no event here
            await asyncio.sleep(0.001)


async def _unavailable(**_changes: Any) -> None:
    raise StoreUnavailable


# --- coming and going ------------------------------------------------------------------------------------------------


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
    assert _types(published) == [
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
    assert _types(published).count("participant.left") == 1


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
    assert _types(published).count("session.started") == 1


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

    monkeypatch.setattr(store.meetings, "write", _unavailable)
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
        broken.setattr(store.meetings, "write", _unavailable)
        await meetings.leave(ann.id, "left")
        await clock.advance(10)
        assert meetings.participants(ann.session) == (ann,)
    await clock.advance(10)
    await _until(lambda: meetings.session_of(room.id) is None)
    assert published[-2].data["participant"]["left_reason"] == "left"


async def test_a_lost_participant_is_gone_even_if_the_store_was_down_at_that_moment(
    start_meetings: Start, ours: Organisation, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    meetings = start_meetings(resume_grace=30.0, empty_grace=0.0)
    room = await meetings.rooms.create(ours.id, NewRoom(name="Room"))
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    await meetings.set_connected(ann.id, False)
    with monkeypatch.context() as broken:
        broken.setattr(store.meetings, "write", _unavailable)
        await clock.advance(60)
        assert meetings.session_of(room.id) is not None
    await clock.advance(10)
    await _until(lambda: meetings.session_of(room.id) is None)


# --- moderation ------------------------------------------------------------------------------------------------------


async def test_a_moderators_mute_is_told_but_ones_own_is_not(meetings: Meetings, room: Room) -> None:
    phone = RecordingConnection()
    ann = await meetings.enter(room, newcomer(), phone)
    await meetings.set_muted(ann.id, True, "self")
    await meetings.set_muted(ann.id, True, "api")  # is so already: nothing to tell
    await meetings.set_muted(ann.id, False, "part_host")
    assert await phone.next() == ("muted", False, "part_host")
    await meetings.settled()
    assert len(phone.told) == 1
    assert meetings.participant(ann.id).muted is False


async def test_mute_all_spares_hosts(meetings: Meetings, room: Room) -> None:
    host = await meetings.enter(room, newcomer(role="host"), RecordingConnection())
    guests = [await meetings.enter(room, newcomer(), RecordingConnection()) for _ in range(3)]
    await meetings.mute_all(room.id, host.id)
    assert not meetings.participant(host.id).muted
    assert all(meetings.participant(guest.id).muted for guest in guests)


async def test_a_raised_hand_lowered_by_a_host_is_told(meetings: Meetings, room: Room) -> None:
    web = RecordingConnection()
    ann = await meetings.enter(room, newcomer(), web)
    await meetings.set_hand(ann.id, True)
    await meetings.set_hand(ann.id, False, "part_host")
    assert await web.next() == ("hand_lowered",)


async def test_a_removed_browser_does_not_get_back_into_the_session(
    meetings: Meetings, room: Room, published: list[Event]
) -> None:
    web = RecordingConnection()
    await meetings.enter(room, newcomer(), RecordingConnection())
    ann = await meetings.enter(room, newcomer(identity="ann"), web)
    await meetings.remove(ann.id, "api")
    assert await web.next() == ("removed", "removed")
    assert published[-1].data["participant"]["left_reason"] == "removed"
    with pytest.raises(RemovedFromSession):
        await meetings.enter(room, newcomer(identity="ann"), RecordingConnection())
    await meetings.end(room.id, "api")
    await meetings.enter(room, newcomer(identity="ann"), RecordingConnection())


async def test_ending_a_session_sends_everybody_away_at_once(
    meetings: Meetings, room: Room, published: list[Event]
) -> None:
    connections = [RecordingConnection() for _ in range(3)]
    for connection in connections:
        await meetings.enter(room, newcomer(), connection)
    await meetings.end(room.id, "api")
    assert [await connection.next() for connection in connections] == [("removed", "ended")] * 3
    assert _types(published)[-4:] == ["participant.left"] * 3 + ["session.ended"]
    with pytest.raises(NotFound):
        await meetings.end(room.id, "api")


async def test_deleting_a_room_ends_its_session(meetings: Meetings, rooms: Rooms, room: Room) -> None:
    web = RecordingConnection()
    await meetings.enter(room, newcomer(), web)
    await rooms.delete(room.organisation, room.id)
    assert await web.next() == ("removed", "ended")
    assert meetings.session_of(room.id) is None


async def test_a_connection_that_fails_disturbs_nobody(meetings: Meetings, room: Room) -> None:
    class Broken(RecordingConnection):
        async def removed(self, reason: str) -> None:
            raise RuntimeError("broken")

    healthy = RecordingConnection()
    await meetings.enter(room, newcomer(), Broken())
    await meetings.enter(room, newcomer(), healthy)
    await meetings.end(room.id, "api")
    assert await healthy.next() == ("removed", "ended")


async def test_names_are_cleaned(meetings: Meetings, room: Room) -> None:
    ann = await meetings.enter(room, newcomer("  Ann\r\n\x1b[31m  B.  "), RecordingConnection())
    assert ann.name == "Ann [31m B."
    await meetings.rename(ann.id, " " * 500 + "x" * 120)
    assert meetings.participant(ann.id).name == "x" * 120


@pytest.mark.parametrize("name", ["", "  ", "\x00\x1b", "x" * 121])
async def test_a_name_of_nothing_or_of_too_much_is_refused(meetings: Meetings, room: Room, name: str) -> None:
    ann = await meetings.enter(room, newcomer("Ann"), RecordingConnection())
    with pytest.raises(Invalid, match="printable"):
        await meetings.rename(ann.id, name)
    assert meetings.participant(ann.id).name == "Ann"


# --- moving ----------------------------------------------------------------------------------------------------------


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
    assert "session.ended" in _types(published)


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


# --- watching --------------------------------------------------------------------------------------------------------


async def test_who_watches_a_session_hears_all_of_it(meetings: Meetings, rooms: Rooms, room: Room) -> None:
    heard: list[MeetingEvent] = []
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    meetings.watch(ann.session, heard.append)
    ben = await meetings.enter(room, newcomer(), RecordingConnection())
    await meetings.set_tracks(ben.id, Tracks(camera=True))
    await rooms.change(room.organisation, room.id, name="New")
    await meetings.end(room.id, "api")
    assert [type(event) for event in heard] == [
        ParticipantJoined,
        ParticipantUpdated,
        RoomUpdated,
        ParticipantLeft,
        ParticipantLeft,
        SessionEnded,
    ]
    assert isinstance(heard[1], ParticipantUpdated)
    assert heard[1].participant.tracks == Tracks(camera=True)
    assert isinstance(heard[2], RoomUpdated)
    assert heard[2].room.name == "New"


async def test_tracks_are_told_inside_but_make_no_event(meetings: Meetings, room: Room, published: list[Event]) -> None:
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    published.clear()
    await meetings.set_tracks(ann.id, Tracks(microphone=True))
    assert published == []
    await meetings.set_muted(ann.id, True, "self")
    assert _types(published) == ["participant.updated"]


async def test_a_stopped_watcher_hears_nothing_more(meetings: Meetings, room: Room) -> None:
    heard: list[MeetingEvent] = []
    ann = await meetings.enter(room, newcomer(), RecordingConnection())
    stop = meetings.watch(ann.session, heard.append)
    stop()
    await meetings.set_muted(ann.id, True, "self")
    assert heard == []


async def test_a_session_that_is_not_running_cannot_be_watched(meetings: Meetings) -> None:
    with pytest.raises(NotFound):
        meetings.watch("sess_nothing", lambda _event: None)


# --- time ------------------------------------------------------------------------------------------------------------


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
    assert "participant.left" not in _types(published)


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
    await _until(lambda: meetings.session_of(room.id) is None)
    assert _types(published)[-1] == "session.ended"


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


async def test_callers_wait_until_a_host_starts_the_session(
    meetings: Meetings, rooms: Rooms, ours: Organisation
) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Room", starts_with="host"))
    waiting = [asyncio.create_task(meetings.wait_until_open(room)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in waiting)
    await meetings.enter(room, newcomer(role="host"), RecordingConnection())
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    await meetings.enter(room, newcomer(), RecordingConnection())


async def test_callers_wait_until_the_room_opens(
    meetings: Meetings, rooms: Rooms, ours: Organisation, clock: ManualClock
) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Room", opens_at=clock.now() + timedelta(minutes=5)))
    waiting = asyncio.create_task(meetings.wait_until_open(room))
    await _until(lambda: clock.sleeping == 1)
    await clock.advance(299)
    assert not waiting.done()
    await clock.advance(1)
    await asyncio.wait_for(waiting, 5)
    await meetings.enter(room, newcomer(), RecordingConnection())


async def test_a_room_opened_earlier_than_planned_is_entered_at_once(
    meetings: Meetings, rooms: Rooms, ours: Organisation, clock: ManualClock
) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Room", opens_at=clock.now() + timedelta(minutes=5)))
    waiting = asyncio.create_task(meetings.wait_until_open(room))
    await _until(lambda: clock.sleeping == 1)
    await rooms.change(ours.id, room.id, opens_at=None)
    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize("how", ["expires", "deleted"])
async def test_who_waits_for_a_room_that_never_opens_is_told(
    meetings: Meetings, rooms: Rooms, ours: Organisation, clock: ManualClock, how: str
) -> None:
    expires = clock.now() + timedelta(minutes=5)
    room = await rooms.create(ours.id, NewRoom(name="Room", starts_with="host", expires_at=expires))
    waiting = asyncio.create_task(meetings.wait_until_open(room))
    await _until(lambda: clock.sleeping == 1)
    if how == "expires":
        await clock.advance(300)
    else:
        await rooms.delete(ours.id, room.id)
    with pytest.raises(RoomEnded):
        await asyncio.wait_for(waiting, 5)


# --- restart ---------------------------------------------------------------------------------------------------------


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
    await _until(lambda: len(meetings.participants(session.id)) == 2)
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
    assert _types(published) == ["session.ended", "participant.left", "session.ended"]
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
