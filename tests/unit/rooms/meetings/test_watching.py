from __future__ import annotations

import pytest

from dialroom.core.errors import NotFound
from dialroom.core.events import Event
from dialroom.rooms.directory import Rooms
from dialroom.rooms.happenings import (
    MeetingEvent,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    RoomUpdated,
    SessionEnded,
)
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Room, Tracks
from tests.support.meetings import RecordingConnection, newcomer

from .conftest import types


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
    assert types(published) == ["participant.updated"]


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
