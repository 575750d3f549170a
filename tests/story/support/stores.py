"""Rooms and meetings kept in memory: what the store does, without SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dialroom.core.answers import KeptAnswer
from dialroom.core.errors import StoreUnavailable
from dialroom.core.events import Event
from dialroom.core.paging import Page
from dialroom.rooms.values import Participant, Room, Session


class MemoryRooms:
    """A `RoomStore`."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.away = False

    async def find(self, organisation: str, room: str) -> Room | None:
        if self.away:
            raise StoreUnavailable
        found = self.rooms.get(room)
        return found if found and found.organisation == organisation else None

    async def find_by_slug(self, slug: str) -> Room | None:
        return next((room for room in self.rooms.values() if room.slug == slug), None)

    async def find_by_code_prefix(self, organisation: str, digits: str, limit: int) -> tuple[Room, ...]:
        if self.away:
            raise StoreUnavailable
        ours = [room for room in self.rooms.values() if room.organisation == organisation and room.code]
        matching = [room for room in ours if room.code and room.code.startswith(digits)]
        return tuple(sorted(matching, key=lambda room: len(room.code or ""))[:limit])

    async def codes_related_to(self, organisation: str, code: str) -> tuple[str, ...]:
        codes = [room.code for room in self.rooms.values() if room.organisation == organisation and room.code]
        return tuple(each for each in codes if each.startswith(code) or code.startswith(each))

    async def count_dial_in(self, organisation: str) -> int:
        return len(self.rooms)

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Room]:
        raise NotImplementedError

    async def create(self, room: Room, answer: KeptAnswer | None = None) -> None:
        self.rooms[room.id] = room

    async def change(self, room: Room) -> None:
        self.rooms[room.id] = room

    async def delete(self, organisation: str, room: str) -> None:
        del self.rooms[room]


class MemoryMeetings:
    """A `MeetingStore`."""

    def __init__(self, rooms: MemoryRooms) -> None:
        self._rooms = rooms
        self.sessions: dict[str, Session] = {}
        self.participants: dict[str, Participant] = {}
        self.events: list[Event] = []
        self.away = False

    async def running(self) -> tuple[tuple[Session, Room | None, tuple[Participant, ...]], ...]:
        return tuple(
            (
                session,
                self._rooms.rooms.get(session.room),
                tuple(p for p in self.participants.values() if p.session == session.id and p.left_at is None),
            )
            for session in self.sessions.values()
            if session.ended_at is None
        )

    async def was_removed(self, organisation: str, session: str, identity: str) -> bool:
        return any(
            p.session == session and p.identity == identity and p.left_reason == "removed"
            for p in self.participants.values()
        )

    async def write(
        self,
        *,
        sessions: Sequence[Session] = (),
        participants: Sequence[Participant] = (),
        events: Sequence[Event] = (),
    ) -> None:
        if self.away:
            raise StoreUnavailable
        self.sessions.update({session.id: session for session in sessions})
        self.participants.update({participant.id: participant for participant in participants})
        self.events.extend(events)

    async def find_session(self, organisation: str, session: str) -> Session | None:
        return self.sessions.get(session)

    async def page_sessions(
        self, organisation: str, room: str | None, running: bool | None, cursor: str | None, limit: int | None
    ) -> Page[Session]:
        raise NotImplementedError

    async def find_participant(self, organisation: str, participant: str) -> Participant | None:
        return self.participants.get(participant)

    async def page_participants(
        self, organisation: str, session: str, cursor: str | None, limit: int | None
    ) -> Page[Participant]:
        raise NotImplementedError

    async def prune(self, before: datetime, limit: int) -> int:
        raise NotImplementedError
