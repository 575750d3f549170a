"""What is going on in rooms right now.

The store is the truth, memory a copy of its running part: each change is checked under the room's lock, written in one
transaction with its events, and only then done in memory and told. So a killed process loses nothing: `adopt` loads the
running sessions, owners of connections `attach` again (phones through call adoption, browsers by resuming), and whom
nobody attaches leaves as ``lost``. A caller that is cancelled in the middle leaves nothing half done either.

Meetings never talks to the media plane: the owner of a connection does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import structlog

from dialroom.core import metrics
from dialroom.core.clock import Clock
from dialroom.core.errors import DialroomError, NotFound, RemovedFromSession, RoomEnded, RoomNotOpen
from dialroom.core.events import Event
from dialroom.core.ids import new_id
from dialroom.rooms.directory import Rooms
from dialroom.rooms.entry import check_entry, check_open, check_seats, next_change
from dialroom.rooms.happenings import (
    MeetingListener,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    RoomUpdated,
    SessionEnded,
    participant_event,
    session_event,
)
from dialroom.rooms.live import Connection, Live, Seat, Tasks, Timers
from dialroom.rooms.ports import MeetingStore
from dialroom.rooms.values import LeftReason, Newcomer, Participant, Room, Session, Tracks

__all__ = ["Connection", "MeetingSettings", "Meetings"]

T = TypeVar("T")
_log = structlog.get_logger("dialroom.meetings")


@dataclass(frozen=True, slots=True)
class MeetingSettings:
    """Seconds a participant without connection stays (``resume_grace``), and a session without participants."""

    resume_grace: float = 30.0
    empty_grace: float = 3.0


class Meetings:
    """Running sessions and their participants. All methods may be called by any number of tasks at once.

    ``by`` says who acts: a participant's id, ``"api"``, or ``"self"``; nobody is told what they did themselves.
    """

    def __init__(
        self, rooms: Rooms, store: MeetingStore, clock: Clock, settings: MeetingSettings | None = None
    ) -> None:
        self._rooms = rooms
        self._store = store
        self._clock = clock
        self._settings = settings or MeetingSettings()
        self._by_room: dict[str, Live] = {}
        self._by_session: dict[str, Live] = {}
        self._by_participant: dict[str, Live] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._opening: dict[str, asyncio.Event] = {}
        self._tasks = Tasks()
        self._timers = Timers(clock)
        rooms.watch(self._room_changed)

    # --- reading ---------------------------------------------------------------------------------------------------

    def session_of(self, room_id: str) -> Session | None:
        """The session running in a room."""
        live = self._by_room.get(room_id)
        return live.session if live else None

    def participants(self, session_id: str) -> tuple[Participant, ...]:
        """Who is in a session, first come first; nobody if it is not running."""
        live = self._by_session.get(session_id)
        return tuple(seat.participant for seat in live.seats.values()) if live else ()

    def participant(self, participant_id: str) -> Participant:
        """Someone who is in a session now. Raises NotFound."""
        return self._seat(participant_id)[1].participant

    def room_of(self, session_id: str) -> Room:
        """The room of a running session, as it is now. Raises NotFound."""
        return self._live(session_id).room

    def watch(self, session_id: str, listener: MeetingListener) -> Callable[[], None]:
        """Call `listener` with each `MeetingEvent` of a running session; returns what stops it. Raises NotFound."""
        return self._live(session_id).watch(listener)

    # --- coming and going ------------------------------------------------------------------------------------------

    async def enter(self, room: Room, newcomer: Newcomer, connection: Connection) -> Participant:
        """Seat a newcomer, starting the session if there is none. Somebody with the same identity is ``replaced``.

        Raises RoomLocked, RoomFull, RoomEnded, RoomNotOpen, RemovedFromSession, StoreUnavailable. If the caller is
        cancelled meanwhile, the newcomer leaves again.
        """
        work = self._tasks.start(self._enter(room, newcomer, connection))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._tasks.start(self._leave_again(work))
            raise
        except DialroomError as error:
            metrics.ENTRIES_REFUSED.labels(error.code).inc()
            raise

    async def _enter(self, room: Room, newcomer: Newcomer, connection: Connection) -> Participant:
        async with self._locked(room.id):
            room = await self._fresh(room)
            live = self._by_room.get(room.id)
            same = live.seat_of(newcomer.identity) if live else None
            now = self._clock.now()
            if live is None or same is None:
                check_entry(room, newcomer.role, live is not None, len(live.seats) if live else 0, now)
                await self._refuse_removed(live, newcomer)
            else:
                check_open(room, newcomer.role, True, now)
            session = live.session if live else self._new_session(room)
            participant = Participant(
                id=new_id("part"),
                organisation=room.organisation,
                room=room.id,
                session=session.id,
                joined_at=now,
                kind=newcomer.kind,
                name=newcomer.name,
                identity=newcomer.identity,
                role=newcomer.role,
                phone_number=newcomer.phone_number,
                call=newcomer.call,
                muted=newcomer.muted,
            )
            await self._seat_in(live or Live(session, room), participant, connection, [same] if same else [])
            return participant

    async def _leave_again(self, work: asyncio.Task[Participant]) -> None:
        await asyncio.wait({work})
        if not work.cancelled() and work.exception() is None:
            await self.leave(work.result().id, "left")

    def attach(self, participant_id: str, connection: Connection) -> Participant:
        """Give a participant a connection again, after a restart or a lost socket. Raises NotFound if it has left."""
        live, seat = self._seat(participant_id)
        self._timers.cancel(("lost", participant_id))
        seat.connection = connection
        self._update(live, seat, replace(seat.participant, connected=True))
        return seat.participant

    async def leave(self, participant_id: str, reason: LeftReason) -> None:
        """The participant is gone. Nothing happens if it was already."""
        await self._part_one(participant_id, reason, tell=False)

    async def remove(self, participant_id: str, by: str) -> None:
        """Remove a participant; a browser with the same identity does not get in again in this session.

        Raises NotFound.
        """
        self._seat(participant_id)
        _log.info("participant.removed", participant=participant_id, by=by)
        await self._part_one(participant_id, "removed", tell=True)

    async def move(self, participant_id: str, room: Room, by: str) -> Participant:
        """Take a participant to another room of the organisation; lock and opening time do not keep it out.

        Returns the participant there, which has a new id. Raises NotFound, RoomFull, RoomEnded.
        """
        return await self._whole(self._move(participant_id, room, by))

    async def _move(self, participant_id: str, room: Room, by: str) -> Participant:
        live, _ = self._seat(participant_id)
        if live.room.id == room.id:
            return self.participant(participant_id)
        if live.room.organisation != room.organisation:
            raise NotFound("The other room does not exist.")
        async with self._locked(live.room.id, room.id):
            live, seat = self._seat(participant_id)
            room = await self._fresh(room)
            target = self._by_room.get(room.id)
            same = target.seat_of(seat.participant.identity) if target else None
            now = self._clock.now()
            check_open(replace(room, opens_at=None), "host", True, now)
            check_seats(room, (len(target.seats) if target else 0) - (same is not None))
            session = target.session if target else self._new_session(room)
            participant = replace(
                seat.participant,
                id=new_id("part"),
                room=room.id,
                session=session.id,
                joined_at=now,
                hand_raised=False,
            )
            replaced = [same] if same else []
            await self._seat_in(target or Live(session, room), participant, seat.connection, replaced, moved=seat)
            _log.info("participant.moved", participant=participant_id, to=participant.id, room=room.id, by=by)
            self._by_participant[participant.id].seats[participant.id].tell(lambda c: c.moved(participant, room))
            return participant

    # --- changing a participant ------------------------------------------------------------------------------------

    async def set_muted(self, participant_id: str, muted: bool, by: str) -> None:
        """Mute or unmute, by a moderator or by the phone itself (``*6``). Raises NotFound."""
        seat = await self._whole(self._change(participant_id, muted=muted))
        if seat is not None and by not in ("self", participant_id):
            seat.tell(lambda c: c.muted(muted, by))

    async def set_hand(self, participant_id: str, raised: bool, by: str = "self") -> None:
        """Raise or lower a hand. Raises NotFound."""
        seat = await self._whole(self._change(participant_id, hand_raised=raised))
        if seat is not None and not raised and by not in ("self", participant_id):
            seat.tell(lambda c: c.hand_lowered())

    async def rename(self, participant_id: str, name: str) -> None:
        """Raises NotFound."""
        await self._whole(self._change(participant_id, name=name))

    async def set_tracks(self, participant_id: str, tracks: Tracks) -> None:
        """What the participant sends now; told to those in the session, no event outside. Raises NotFound."""
        await self._whole(self._change(participant_id, tracks=tracks))

    async def set_connected(self, participant_id: str, connected: bool) -> None:
        """The connection broke or is back. Broken for longer than the resume grace, the participant is ``lost``.

        Raises NotFound.
        """
        live, seat = self._seat(participant_id)
        if connected:
            self._timers.cancel(("lost", participant_id))
        elif seat.participant.connected:
            self._expect(participant_id)
        self._update(live, seat, replace(seat.participant, connected=connected))

    # --- the whole room --------------------------------------------------------------------------------------------

    async def lock(self, room_id: str, locked: bool, by: str) -> None:
        """Lock or unlock the room of a running session. Raises NotFound if none is running."""
        room = self._live_room(room_id).room
        _log.info("room.locked" if locked else "room.unlocked", room=room_id, by=by)
        await self._whole(self._rooms.change(room.organisation, room.id, locked=locked))

    async def end(self, room_id: str, by: str) -> None:
        """End the running session for everybody. Raises NotFound if none is running."""
        self._live_room(room_id)
        await self._whole(self._end(room_id, by))

    async def _end(self, room_id: str, by: str) -> None:
        async with self._locked(room_id):
            live = self._by_room.get(room_id)
            if live is not None:
                _log.info("session.ending", session=live.session.id, by=by)
                await self._part(live, tuple(live.seats.values()), "ended", end=True)

    async def mute_all(self, room_id: str, by: str) -> None:
        """Mute everybody but hosts. Raises NotFound if no session is running."""
        live = self._live_room(room_id)
        for seat in tuple(live.seats.values()):
            if seat.participant.role != "host" and not seat.participant.muted and seat.participant.id != by:
                try:
                    await self.set_muted(seat.participant.id, True, by)
                except NotFound:
                    continue  # left in the meantime

    async def wait_until_open(self, room: Room) -> None:
        """Return when a guest could enter (a lock or a full room aside). Raises RoomEnded."""
        while True:
            opening = self._opening.setdefault(room.id, asyncio.Event())
            room = await self._fresh(room)
            now = self._clock.now()
            try:
                return check_open(room, "guest", room.id in self._by_room, now)
            except RoomNotOpen:
                change = next_change(room, now)
            await self._first(opening, (change - now).total_seconds() if change else None)

    # --- restart ---------------------------------------------------------------------------------------------------

    async def adopt(self) -> tuple[Participant, ...]:
        """Load what was running when the last process ended; returns the participants that wait to be attached.

        Call once, before anything else. Sessions nobody is in end now; who is not attached in time leaves as ``lost``.
        """
        waiting: list[Participant] = []
        for session, room, participants in await self._store.running():
            if room is None or not participants:
                await self._end_stored(session, participants)
                continue
            live = Live(session, room)
            self._open(live)
            for participant in participants:
                seat = Seat(replace(participant, connected=False), None, self._tasks)
                self._sit(live, seat)
                self._expect(participant.id)
                waiting.append(seat.participant)
        return tuple(waiting)

    async def close(self) -> None:
        """Stop timers and background work. Sessions stay as they are in the store, for `adopt`."""
        self._timers.cancel_all()
        await self._tasks.cancel()

    async def settled(self) -> None:
        """Return when every connection has been told what there was to tell."""
        await self._tasks.settle()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _live(self, session_id: str) -> Live:
        live = self._by_session.get(session_id)
        if live is None:
            raise NotFound("The session is not running.")
        return live

    def _live_room(self, room_id: str) -> Live:
        live = self._by_room.get(room_id)
        if live is None:
            raise NotFound("No session is running in this room.")
        return live

    def _seat(self, participant_id: str) -> tuple[Live, Seat]:
        live = self._by_participant.get(participant_id)
        if live is None:
            raise NotFound("The participant is not in a session.")
        return live, live.seats[participant_id]

    def _new_session(self, room: Room) -> Session:
        return Session(id=new_id("sess"), organisation=room.organisation, room=room.id, started_at=self._clock.now())

    async def _fresh(self, room: Room) -> Room:
        try:
            return await self._rooms.read(room.organisation, room.id)
        except NotFound:
            raise RoomEnded(f"The room “{room.name}” was deleted.") from None

    async def _refuse_removed(self, live: Live | None, newcomer: Newcomer) -> None:
        if live is None or newcomer.kind != "web":
            return
        if await self._store.was_removed(live.session.organisation, live.session.id, newcomer.identity):
            raise RemovedFromSession

    def _locked(self, *room_ids: str) -> AsyncExitStack:
        return _Locks([self._locks.setdefault(room_id, asyncio.Lock()) for room_id in sorted(set(room_ids))])

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end even if the caller is cancelled, so that memory and store stay the same."""
        result: T = await asyncio.shield(self._tasks.start(work))
        return result
