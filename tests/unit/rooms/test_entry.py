from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dialroom.core.errors import RoomEnded, RoomFull, RoomLocked, RoomNotOpen
from dialroom.rooms.directory import NewRoom, new_room
from dialroom.rooms.entry import check_entry, next_change
from dialroom.rooms.values import Role, Room
from tests.support.clock import NOON

HOUR = timedelta(hours=1)


def _room(**settings: Any) -> Room:
    return new_room("org_a", NewRoom(name="Room", dial_in=False, **settings), NOON)


@pytest.mark.parametrize(
    ("settings", "role", "running", "seats", "refusal"),
    [
        ({}, "guest", False, 0, None),
        ({"expires_at": NOON}, "host", True, 1, RoomEnded),
        ({"expires_at": NOON + HOUR}, "guest", False, 0, None),
        ({"opens_at": NOON + HOUR}, "guest", False, 0, RoomNotOpen),
        ({"opens_at": NOON + HOUR}, "host", False, 0, RoomNotOpen),
        ({"opens_at": NOON}, "guest", False, 0, None),
        ({"starts_with": "host"}, "guest", False, 0, RoomNotOpen),
        ({"starts_with": "host"}, "host", False, 0, None),
        ({"starts_with": "host"}, "guest", True, 1, None),
        ({"locked": True}, "guest", True, 1, RoomLocked),
        ({"locked": True}, "host", True, 1, None),
        ({"max_participants": 2}, "guest", True, 1, None),
        ({"max_participants": 2}, "guest", True, 2, RoomFull),
        ({"max_participants": 2}, "host", True, 2, RoomFull),
    ],
)
def test_who_may_enter(
    settings: dict[str, Any], role: Role, running: bool, seats: int, refusal: type[Exception] | None
) -> None:
    if refusal is None:
        check_entry(_room(**settings), role, running, seats, NOON)
    else:
        with pytest.raises(refusal):
            check_entry(_room(**settings), role, running, seats, NOON)


def test_an_expired_room_is_ended_even_if_it_is_locked_and_full() -> None:
    room = _room(expires_at=NOON, locked=True, max_participants=1)
    with pytest.raises(RoomEnded):
        check_entry(room, "guest", True, 1, NOON)


def test_the_clock_changes_a_room_when_it_opens_and_when_it_expires() -> None:
    room = _room(opens_at=NOON + HOUR, expires_at=NOON + 2 * HOUR)
    assert next_change(room, NOON) == NOON + HOUR
    assert next_change(room, NOON + HOUR) == NOON + 2 * HOUR
    assert next_change(room, NOON + 2 * HOUR) is None
