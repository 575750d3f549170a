"""Who may enter a room, and when. Pure."""

from __future__ import annotations

from datetime import datetime

from dialroom.core.errors import RoomEnded, RoomFull, RoomLocked, RoomNotOpen
from dialroom.rooms.values import Role, Room


def check_open(room: Room, role: Role, running: bool, now: datetime) -> None:
    """Raise RoomEnded or RoomNotOpen unless somebody with this role could be in the room now.

    `running`: whether a session is going on. Hosts do not wait for one, but nobody comes before ``opens_at``.
    """
    if room.expires_at is not None and now >= room.expires_at:
        raise RoomEnded(f"The room “{room.name}” expired.")
    if room.opens_at is not None and now < room.opens_at:
        raise RoomNotOpen(f"The room “{room.name}” is not open yet.", "Come back when `opens_at` has passed.")
    if not running and room.starts_with == "host" and role != "host":
        raise RoomNotOpen(f"No host has joined “{room.name}” yet.", "Wait until a host has joined.")


def check_entry(room: Room, role: Role, running: bool, seats_taken: int, now: datetime) -> None:
    """Raise RoomEnded, RoomNotOpen, RoomLocked or RoomFull unless a newcomer may enter.

    A lock does not keep hosts out.
    """
    check_open(room, role, running, now)
    if room.locked and role != "host":
        raise RoomLocked(f"The room “{room.name}” is locked.")
    check_seats(room, seats_taken)


def check_seats(room: Room, seats_taken: int) -> None:
    """Raise RoomFull when no seat is left."""
    if seats_taken >= room.max_participants:
        raise RoomFull(f"All {room.max_participants} places in “{room.name}” are taken.")


def next_change(room: Room, now: datetime) -> datetime | None:
    """The next moment at which the clock alone changes what `check_open` says."""
    moments = [at for at in (room.opens_at, room.expires_at) if at is not None and at > now]
    return min(moments, default=None)
