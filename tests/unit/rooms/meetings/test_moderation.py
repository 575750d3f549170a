from __future__ import annotations

import pytest

from dialroom.core.errors import Invalid, NotFound, RemovedFromSession
from dialroom.core.events import Event
from dialroom.rooms.directory import Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Room
from tests.support.meetings import RecordingConnection, newcomer

from .conftest import types


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
    assert types(published)[-4:] == ["participant.left"] * 3 + ["session.ended"]
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
