from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dialroom.core.errors import StoreUnavailable
from dialroom.core.events import Event
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Organisation, Room

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


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for work that goes through the store's threads."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a thread's end sets no event here
            await asyncio.sleep(0.001)


async def unavailable(*_what: Any, **_changes: Any) -> None:
    raise StoreUnavailable
