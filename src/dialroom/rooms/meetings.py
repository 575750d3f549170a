"""What is going on in rooms right now.

The store is the truth, memory a copy of its running part: each change is checked under the room's lock, written in one
transaction with its events, and only then done in memory and told. So a killed process loses nothing: `adopt` loads the
running sessions, owners of connections `attach` again (phones through call adoption, browsers by resuming), and whom
nobody attaches leaves as ``lost``. A caller that is cancelled in the middle leaves nothing half done either.

Meetings never talks to the media plane: the owner of a connection does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from dialroom.core import metrics
from dialroom.core.clock import Clock
from dialroom.core.errors import (
    DialroomError,
    NotFound,
    RemovedFromSession,
    RoomEnded,
    RoomNotOpen,
    StoreUnavailable,
)
from dialroom.core.ids import new_id
from dialroom.rooms.directory import Rooms
from dialroom.rooms.entry import check_entry, check_open, check_seats, next_change
from dialroom.rooms.happenings import MeetingListener, RoomUpdated, participant_event, session_event
from dialroom.rooms.live import STORE_RETRY, Connection, Live, Seat, Tasks
from dialroom.rooms.names import clean_name
from dialroom.rooms.ports import MeetingStore
from dialroom.rooms.roster import Roster
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
        settings = settings or MeetingSettings()
        self.rooms = rooms
        self._store = store
        self._clock = clock
        self._tasks = Tasks()
        self._roster = Roster(
            store, clock, self._tasks, empty_grace=settings.empty_grace, resume_grace=settings.resume_grace
        )
        rooms.watch(self._room_changed)

    # --- reading ---------------------------------------------------------------------------------------------------

    def session_of(self, room_id: str) -> Session | None:
        """The session running in a room."""
        live = self._roster.by_room.get(room_id)
        return live.session if live else None

    def participants(self, session_id: str) -> tuple[Participant, ...]:
        """Who is in a session, first come first; nobody if it is not running."""
        live = self._roster.by_session.get(session_id)
        return tuple(seat.participant for seat in live.seats.values()) if live else ()

    def participant(self, participant_id: str) -> Participant:
        """Someone who is in a session now. Raises NotFound."""
        return self._roster.seat(participant_id)[1].participant

    def room_of(self, session_id: str) -> Room:
        """The room of a running session, as it is now. Raises NotFound."""
        return self._roster.session(session_id).room

    def watch(self, session_id: str, listener: MeetingListener) -> Callable[[], None]:
        """Call `listener` with each `MeetingEvent` of a running session; returns what stops it. Raises NotFound."""
        return self._roster.session(session_id).watch(listener)

    # --- coming and going ------------------------------------------------------------------------------------------

    async def enter(self, room: Room, newcomer: Newcomer, connection: Connection) -> Participant:
        """Seat a newcomer, starting the session if there is none. Somebody with the same identity is ``replaced``.

        Raises RoomLocked, RoomFull, RoomEnded, RoomNotOpen, RemovedFromSession, StoreUnavailable. If the caller is
        cancelled meanwhile, the newcomer leaves again.
        """
        work = self._tasks.start(self._enter(room, newcomer, connection), awaited=True)
        try:
            entered: Participant = await asyncio.shield(work)
        except asyncio.CancelledError:
            self._tasks.start(self._leave_again(work))
            raise
        except DialroomError as error:
            metrics.ENTRIES_REFUSED.labels(error.code).inc()
            raise
        return entered

    async def _enter(self, room: Room, newcomer: Newcomer, connection: Connection) -> Participant:
        async with self._roster.locked(room.id):
            room = await self._fresh(room)
            live = self._roster.by_room.get(room.id)
            same = live.seat_of(newcomer.identity) if live else None
            await self._check_entry(room, newcomer, live, same)
            live = live or self._new_live(room)
            participant = Participant(
                id=new_id("part"),
                organisation=room.organisation,
                room=room.id,
                session=live.session.id,
                joined_at=self._clock.now(),
                kind=newcomer.kind,
                name=clean_name(newcomer.name),
                identity=newcomer.identity,
                role=newcomer.role,
                phone_number=newcomer.phone_number,
                call=newcomer.call,
                muted=newcomer.muted,
                # A browser says by `publish` when its microphone is open; a phone speaks from the start.
                tracks=Tracks(microphone=newcomer.kind != "web"),
            )
            await self._roster.seat_in(live, participant, connection, replaced=same)
        if same is not None:
            same.tell(lambda replaced: replaced.removed("replaced"))
        return participant

    async def _check_entry(self, room: Room, newcomer: Newcomer, live: Live | None, same: Seat | None) -> None:
        now = self._clock.now()
        if live is None or same is None:
            check_entry(room, newcomer.role, live is not None, len(live.seats) if live else 0, now)
        else:  # the same person again takes no seat more, and a lock does not keep them out
            check_open(room, newcomer.role, True, now)
        if live is None or newcomer.kind != "web":
            return
        if await self._store.was_removed(room.organisation, live.session.id, newcomer.identity):
            raise RemovedFromSession

    async def _leave_again(self, work: asyncio.Task[Participant]) -> None:
        await asyncio.wait({work})
        if not work.cancelled() and work.exception() is None:
            await self.leave(work.result().id, "left")

    def attach(self, participant_id: str, connection: Connection) -> Participant:
        """Give a participant a connection again, after a restart or a lost socket. Raises NotFound if it has left."""
        live, seat = self._roster.seat(participant_id)
        self._roster.expect_no_longer(participant_id)
        seat.connection = connection
        self._roster.update(live, seat, replace(seat.participant, connected=True))
        return seat.participant

    def stand_in(self, participant_id: str, connection: Connection) -> Participant:
        """Have a connection told what happens to a participant that is still to be attached after a restart.

        Raises NotFound if it has left.
        """
        _, seat = self._roster.seat(participant_id)
        seat.connection = connection
        return seat.participant

    async def leave(self, participant_id: str, reason: LeftReason) -> None:
        """The participant is gone. Nothing happens if it was already.

        While the store cannot be reached the participant is still listed; it leaves as soon as it can be.
        """
        try:
            await self._whole(self._roster.part_one(participant_id, reason))
        except StoreUnavailable:
            _log.warning("participant.leaving_later", participant=participant_id, reason=reason)
            self._roster.part_later(participant_id, reason)

    async def remove(self, participant_id: str, by: str) -> None:
        """Remove a participant; a browser with the same identity does not get in again in this session.

        Raises NotFound.
        """
        _, seat = self._roster.seat(participant_id)
        _log.info("participant.removing", participant=participant_id, by=by)
        if await self._whole(self._roster.part_one(participant_id, "removed")):
            seat.tell(lambda removed: removed.removed("removed"))

    async def move(self, participant_id: str, room: Room, by: str) -> Participant:
        """Take a participant to another room of the organisation; lock and opening time do not keep it out.

        Returns the participant there, which has a new id. Raises NotFound, RoomFull, RoomEnded.
        """
        live, seat = self._roster.seat(participant_id)
        if live.room.organisation != room.organisation:
            raise NotFound("There is no such room.")
        if live.room.id == room.id:
            return seat.participant
        return await self._whole(self._move(participant_id, live.room.id, room, by))

    async def _move(self, participant_id: str, from_room: str, room: Room, by: str) -> Participant:
        async with self._roster.locked(from_room, room.id):
            live, seat = self._roster.seat(participant_id)
            room = await self._fresh(room)
            target = self._roster.by_room.get(room.id)
            same = target.seat_of(seat.participant.identity) if target else None
            now = self._clock.now()
            check_open(replace(room, opens_at=None), "host", True, now)
            check_seats(room, (len(target.seats) if target else 0) - (1 if same else 0))
            target = target or self._new_live(room)
            there = replace(
                seat.participant,
                id=new_id("part"),
                room=room.id,
                session=target.session.id,
                joined_at=now,
                hand_raised=False,
            )
            new_seat = await self._roster.seat_in(target, there, seat.connection, replaced=same, moved=(live, seat))
            _log.info("participant.moved", participant=participant_id, to=there.id, room=room.id, by=by)
        if same is not None:
            same.tell(lambda replaced: replaced.removed("replaced"))
        new_seat.tell(lambda connection: connection.moved(there, room))
        return there

    # --- changing a participant ------------------------------------------------------------------------------------

    async def set_muted(self, participant_id: str, muted: bool, by: str) -> None:
        """Mute or unmute, by a moderator or by the phone itself (``*6``). Raises NotFound."""
        seat = await self._whole(self._roster.change(participant_id, muted=muted))
        if seat is not None and by not in ("self", participant_id):
            seat.tell(lambda connection: connection.muted(muted, by))

    async def set_hand(self, participant_id: str, raised: bool, by: str = "self") -> None:
        """Raise or lower a hand. Raises NotFound."""
        seat = await self._whole(self._roster.change(participant_id, hand_raised=raised))
        if seat is not None and not raised and by not in ("self", participant_id):
            seat.tell(lambda connection: connection.hand_lowered())

    async def rename(self, participant_id: str, name: str) -> None:
        """Raises NotFound, Invalid."""
        await self._whole(self._roster.change(participant_id, name=clean_name(name)))

    async def set_tracks(self, participant_id: str, tracks: Tracks) -> None:
        """What the participant sends now; told to those in the session, no event outside. Raises NotFound."""
        await self._whole(self._roster.change(participant_id, tracks=tracks))

    async def set_connected(self, participant_id: str, connected: bool) -> None:
        """The connection broke or is back. Broken for longer than the resume grace, the participant is ``lost``.

        Raises NotFound.
        """
        live, seat = self._roster.seat(participant_id)
        if connected:
            self._roster.expect_no_longer(participant_id)
        elif seat.participant.connected:
            self._roster.expect(participant_id)
        self._roster.update(live, seat, replace(seat.participant, connected=connected))

    # --- the whole room --------------------------------------------------------------------------------------------

    async def lock(self, room_id: str, locked: bool, by: str) -> None:
        """Lock or unlock the room of a running session. Raises NotFound if none is running."""
        room = self._roster.room(room_id).room
        await self._whole(self.rooms.change(room.organisation, room.id, locked=locked))
        _log.info("room.locked" if locked else "room.unlocked", room=room_id, by=by)

    async def end(self, room_id: str, by: str) -> None:
        """End the running session for everybody. Raises NotFound if none is running."""
        self._roster.room(room_id)
        await self._whole(self._roster.end(room_id, by))

    async def mute_all(self, room_id: str, by: str) -> None:
        """Mute everybody but hosts. Raises NotFound if no session is running."""
        live = self._roster.room(room_id)
        for seat in tuple(live.seats.values()):
            someone = seat.participant
            if someone.role != "host" and someone.id != by and someone.id in live.seats:
                await self._mute_if_there(someone.id, by)

    async def _mute_if_there(self, participant_id: str, by: str) -> None:
        try:
            await self.set_muted(participant_id, True, by)
        except NotFound:
            _log.debug("participant.left_before_mute", participant=participant_id)

    async def wait_until_open(self, room: Room) -> None:
        """Return when a guest could enter (a lock or a full room aside). Raises RoomEnded.

        While the store cannot be reached the wait goes on.
        """
        while True:
            changed = self._roster.next_change(room.id)
            now = self._clock.now()
            try:
                room = await self._fresh(room)
                now = self._clock.now()
                return check_open(room, "guest", room.id in self._roster.by_room, now)
            except RoomNotOpen:
                at = next_change(room, now)
            except StoreUnavailable:
                at = now + timedelta(seconds=STORE_RETRY)
            await self._first_of(changed, (at - now).total_seconds() if at else None)

    async def _first_of(self, changed: asyncio.Event, seconds: float | None) -> None:
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(changed.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

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
            self._roster.open(live)
            for participant in participants:
                seat = Seat(replace(participant, connected=False), None, self._tasks)
                self._roster.sit(live, seat)
                self._roster.expect(participant.id)
                waiting.append(seat.participant)
            _log.info("session.adopted", session=session.id, room=room.id, participants=len(participants))
        return tuple(waiting)

    async def _end_stored(self, session: Session, participants: tuple[Participant, ...]) -> None:
        now = self._clock.now()
        session = replace(session, ended_at=now)
        gone = [replace(p, left_at=now, left_reason="ended", connected=False) for p in participants]
        events = [participant_event("participant.left", left, now) for left in gone]
        events.append(session_event("session.ended", session, now))
        await self._store.write(sessions=[session], participants=gone, events=events)

    async def close(self) -> None:
        """Stop timers and background work. Sessions stay as they are in the store, for `adopt`."""
        await self._roster.close()
        await self._tasks.cancel()

    async def settled(self) -> None:
        """Return when every connection has been told what there was to tell."""
        await self._tasks.settle()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _room_changed(self, after: Room | None, before: Room) -> None:
        live = self._roster.by_room.get(before.id)
        if after is None:
            self._roster.room_changed(before)
            if live is not None:
                self._tasks.start(self._roster.end(before.id, "api"))
            return
        if live is not None:
            live.room = after
            live.notify(RoomUpdated(after))
        self._roster.room_changed(after)

    def _new_live(self, room: Room) -> Live:
        now = self._clock.now()
        return Live(Session(id=new_id("sess"), organisation=room.organisation, room=room.id, started_at=now), room)

    async def _fresh(self, room: Room) -> Room:
        try:
            return await self.rooms.read(room.organisation, room.id)
        except NotFound:
            raise RoomEnded(f"The room “{room.name}” was deleted.") from None

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end even if the caller is cancelled, so that memory and store stay the same."""
        result: T = await asyncio.shield(self._tasks.start(work, awaited=True))
        return result
