"""Sessions and participants in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, exists, select

from dialroom.core.events import Event
from dialroom.core.paging import Page
from dialroom.rooms.values import Participant, Room, Session, Tracks
from dialroom.store.database import Database
from dialroom.store.outbox import write_events
from dialroom.store.paging import delete_oldest, read_page, upsert
from dialroom.store.rooms import SqlRooms
from dialroom.store.tables import micros, micros_or_none, moment, moment_or_none, participants, rooms, sessions


class SqlMeetings:
    """`MeetingStore`."""

    def __init__(self, database: Database, room_store: SqlRooms) -> None:
        self._database = database
        self._rooms = room_store

    async def running(self) -> tuple[tuple[Session, Room | None, tuple[Participant, ...]], ...]:
        return await self._database.read(self._running)

    def _running(self, connection: Connection) -> tuple[tuple[Session, Room | None, tuple[Participant, ...]], ...]:
        query = select(sessions).where(sessions.c.ended_at.is_(None)).order_by(sessions.c.started_at, sessions.c.id)
        going = [_session(row) for row in connection.execute(query)]
        inside = select(rooms).where(rooms.c.id.in_([session.room for session in going]))
        known = {row.id: self._rooms.value(row) for row in connection.execute(inside)}
        there: dict[str, list[Participant]] = {session.id: [] for session in going}
        present = (
            select(participants)
            .join(sessions, sessions.c.id == participants.c.session)
            .where(sessions.c.ended_at.is_(None), participants.c.left_at.is_(None))
            .order_by(participants.c.joined_at, participants.c.id)
        )
        for row in connection.execute(present):
            there[row.session].append(_participant(row))
        return tuple((session, known.get(session.room), tuple(there[session.id])) for session in going)

    async def was_removed(self, organisation: str, session: str, identity: str) -> bool:
        query = select(
            exists().where(
                participants.c.organisation == organisation,
                participants.c.session == session,
                participants.c.identity == identity,
                participants.c.left_reason == "removed",
            )
        )
        return bool(await self._database.read(lambda c: c.execute(query).scalar()))

    async def write(
        self,
        *,
        sessions: Sequence[Session] = (),
        participants: Sequence[Participant] = (),
        events: Sequence[Event] = (),
    ) -> None:
        def work(connection: Connection) -> None:
            upsert(connection, _SESSIONS, [_session_row(session) for session in sessions], ("room", "started_at"))
            rows = [_participant_row(participant) for participant in participants]
            upsert(connection, _PARTICIPANTS, rows, ("session", "identity", "joined_at"))
            write_events(connection, events)

        await self._database.write(work, events)

    async def find_session(self, organisation: str, session: str) -> Session | None:
        query = select(sessions).where(sessions.c.organisation == organisation, sessions.c.id == session)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return _session(row) if row else None

    async def page_sessions(
        self, organisation: str, room: str | None, running: bool | None, cursor: str | None, limit: int | None
    ) -> Page[Session]:
        query = select(sessions).where(sessions.c.organisation == organisation)
        if room is not None:
            query = query.where(sessions.c.room == room)
        if running is not None:
            query = query.where(sessions.c.ended_at.is_(None) if running else sessions.c.ended_at.is_not(None))
        return await self._database.read(
            lambda c: read_page(c, query, sessions.c.started_at, sessions.c.id, cursor, limit, _session)
        )

    async def find_participant(self, organisation: str, participant: str) -> Participant | None:
        query = select(participants).where(
            participants.c.organisation == organisation, participants.c.id == participant
        )
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return _participant(row) if row else None

    async def page_participants(
        self, organisation: str, session: str, cursor: str | None, limit: int | None
    ) -> Page[Participant]:
        query = select(participants).where(
            participants.c.organisation == organisation, participants.c.session == session
        )
        return await self._database.read(
            lambda c: read_page(c, query, participants.c.joined_at, participants.c.id, cursor, limit, _participant)
        )

    async def prune(self, before: datetime, limit: int) -> int:
        return await self._database.write(lambda c: delete_oldest(c, sessions.c.ended_at, before, limit))


_SESSIONS = sessions
_PARTICIPANTS = participants


def _session_row(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "organisation": session.organisation,
        "room": session.room,
        "started_at": micros(session.started_at),
        "ended_at": micros_or_none(session.ended_at),
    }


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        organisation=row.organisation,
        room=row.room,
        started_at=moment(row.started_at),
        ended_at=moment_or_none(row.ended_at),
    )


def _participant_row(participant: Participant) -> dict[str, Any]:
    return {
        "id": participant.id,
        "organisation": participant.organisation,
        "room": participant.room,
        "session": participant.session,
        "identity": participant.identity,
        "name": participant.name,
        "kind": participant.kind,
        "role": participant.role,
        "muted": participant.muted,
        "hand_raised": participant.hand_raised,
        "tracks": msgspec.json.encode(participant.tracks).decode(),
        "phone_number": participant.phone_number,
        "call": participant.call,
        "joined_at": micros(participant.joined_at),
        "left_at": micros_or_none(participant.left_at),
        "left_reason": participant.left_reason,
    }


def _participant(row: Row[Any]) -> Participant:
    return Participant(
        id=row.id,
        organisation=row.organisation,
        room=row.room,
        session=row.session,
        identity=row.identity,
        name=row.name,
        kind=row.kind,
        role=row.role,
        muted=row.muted,
        hand_raised=row.hand_raised,
        tracks=msgspec.json.decode(row.tracks, type=Tracks),
        phone_number=row.phone_number,
        call=row.call,
        connected=False,
        joined_at=moment(row.joined_at),
        left_at=moment_or_none(row.left_at),
        left_reason=row.left_reason,
    )
