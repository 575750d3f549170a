"""Who sits in which running session: each change is written first, then done in memory, then told.

`Meetings` decides what may happen; the roster makes it happen, whole. Its methods that write expect the room's lock to
be held (`Roster.locked`), so that nothing changes between check, write and memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import structlog

from dialroom.core import metrics
from dialroom.core.clock import Clock
from dialroom.core.errors import NotFound
from dialroom.core.events import Event
from dialroom.rooms.happenings import (
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    SessionEnded,
    participant_event,
    session_event,
)
from dialroom.rooms.live import STORE_RETRY, Connection, Live, Seat, Tasks, Timers
from dialroom.rooms.ports import MeetingStore
from dialroom.rooms.values import LeftReason, Participant, Room, Session

_log = structlog.get_logger("dialroom.meetings")
_SILENT = frozenset({"tracks", "connected"})


class Roster:
    """The running sessions by room, session and participant.

    ``empty_grace`` and ``resume_grace`` are seconds an empty session and a participant without connection stay.
    """

    def __init__(
        self, store: MeetingStore, clock: Clock, tasks: Tasks, *, empty_grace: float, resume_grace: float
    ) -> None:
        self.by_room: dict[str, Live] = {}
        self.by_session: dict[str, Live] = {}
        self._by_participant: dict[str, Live] = {}
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._empty_grace = empty_grace
        self._resume_grace = resume_grace
        self._timers = Timers(clock)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changed: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    @asynccontextmanager
    async def locked(self, *room_ids: str) -> AsyncIterator[None]:
        """Hold these rooms' locks, always taken in the same order."""
        locks = [self._locks.setdefault(room_id, asyncio.Lock()) for room_id in sorted(set(room_ids))]
        async with AsyncExitStack() as stack:
            for lock in locks:
                await stack.enter_async_context(lock)
            yield

    # --- finding ---------------------------------------------------------------------------------------------------

    def session(self, session_id: str) -> Live:
        """Raises NotFound."""
        if (live := self.by_session.get(session_id)) is None:
            raise NotFound("The session is not running.")
        return live

    def room(self, room_id: str) -> Live:
        """Raises NotFound."""
        if (live := self.by_room.get(room_id)) is None:
            raise NotFound("No session is running in this room.", "One begins when somebody joins.")
        return live

    def seat(self, participant_id: str) -> tuple[Live, Seat]:
        """Raises NotFound."""
        if (live := self._by_participant.get(participant_id)) is None:
            raise NotFound("The participant is not in a session.")
        return live, live.seats[participant_id]

    # --- changes, under the lock -----------------------------------------------------------------------------------

    async def seat_in(
        self,
        live: Live,
        participant: Participant,
        connection: Connection | None,
        *,
        replaced: Seat | None = None,
        moved: tuple[Live, Seat] | None = None,
    ) -> Seat:
        """Seat a participant, in a new session or a running one; `replaced` and `moved` leave their seats for it."""
        starting = live.session.id not in self.by_session
        now = participant.joined_at
        gone: list[tuple[Live, Participant]] = []
        if replaced is not None:
            gone.append((live, self._left(replaced, "replaced")))
        if moved is not None:
            gone.append((moved[0], self._left(moved[1], "moved")))
        events = [participant_event("participant.left", left, now) for _, left in gone]
        if starting:
            events.append(session_event("session.started", live.session, now))
        events.append(participant_event("participant.joined", participant, now))
        ended = self._ends_now([moved[0]] if moved else [], leaving=1)
        events += [session_event("session.ended", session, now) for session in ended]
        sessions = ([live.session] if starting else []) + ended
        await self._store.write(
            sessions=sessions, participants=[*(left for _, left in gone), participant], events=events
        )
        for where, left in gone:
            self._stand_up(where, left)
        if starting:
            self.open(live)
            _log.info(
                "session.started", session=live.session.id, room=live.room.id, organisation=live.room.organisation
            )
        seat = Seat(participant, connection, self._tasks)
        self.sit(live, seat)
        metrics.PARTICIPANTS_JOINED.labels(participant.kind).inc()
        _log.info("participant.joined", **_names(participant), kind=participant.kind)
        if not participant.connected:
            self.expect(participant.id)
        if moved is not None:
            self._close_if_empty(moved[0], ended)
        return seat

    async def part(self, live: Live, seats: Sequence[Seat], reason: LeftReason, *, end: bool = False) -> None:
        """These leave, all at once; with `end` the session is over, else when nobody came back in the grace time."""
        now = self._clock.now()
        gone = [self._left(seat, reason) for seat in seats]
        ended = [replace(live.session, ended_at=now)] if end else self._ends_now([live], leaving=len(gone))
        events: list[Event] = [participant_event("participant.left", left, now) for left in gone]
        events += [session_event("session.ended", session, now) for session in ended]
        await self._store.write(sessions=ended, participants=gone, events=events)
        for left in gone:
            self._stand_up(live, left)
        self._close_if_empty(live, ended)

    async def change(self, participant_id: str, **changes: Any) -> Seat | None:
        """Change a participant. None if that changes nothing. Raises NotFound."""
        live, _ = self.seat(participant_id)
        async with self.locked(live.room.id):
            live, seat = self.seat(participant_id)
            after = replace(seat.participant, **changes)
            if after == seat.participant:
                return None
            now = self._clock.now()
            told = not set(changes) <= _SILENT
            events = [participant_event("participant.updated", after, now)] if told else []
            await self._store.write(participants=[after], events=events)
            # Connectedness is not stored and may have changed during the write.
            self.update(live, seat, replace(after, connected=seat.participant.connected))
            return seat

    # --- memory only -----------------------------------------------------------------------------------------------

    def update(self, live: Live, seat: Seat, participant: Participant) -> None:
        """Take over a new value of a participant and tell those who watch."""
        if participant != seat.participant:
            seat.participant = participant
            live.notify(ParticipantUpdated(participant))

    def open(self, live: Live) -> None:
        """A session runs from now on."""
        self.by_room[live.room.id] = live
        self.by_session[live.session.id] = live
        metrics.SESSIONS.set(len(self.by_session))
        self.room_changed(live.room)

    def sit(self, live: Live, seat: Seat) -> None:
        """A participant is in the session from now on."""
        self._timers.cancel(("empty", live.session.id))
        live.seats[seat.participant.id] = seat
        self._by_participant[seat.participant.id] = live
        metrics.PARTICIPANTS.labels(seat.participant.kind).inc()
        live.notify(ParticipantJoined(seat.participant))

    def expect(self, participant_id: str) -> None:
        """Unless it is connected again within the grace time, the participant is lost."""
        self._timers.start(("lost", participant_id), self._resume_grace, lambda: self._lose(participant_id))

    def expect_no_longer(self, participant_id: str) -> None:
        self._timers.cancel(("lost", participant_id))

    def room_changed(self, room: Room) -> None:
        """Wake whoever waits for the room, and set the time at which its session must end."""
        if (changed := self._changed.pop(room.id, None)) is not None:
            changed.set()
        live = self.by_room.get(room.id)
        self._timers.cancel(("expiry", room.id))
        if live is not None and room.expires_at is not None:
            seconds = (room.expires_at - self._clock.now()).total_seconds()
            self._timers.start(("expiry", room.id), seconds, lambda: self._expire(room.id))

    def next_change(self, room_id: str) -> asyncio.Event:
        """Set at the next change of the room: its session began or its settings are others."""
        return self._changed.setdefault(room_id, asyncio.Event())

    async def close(self) -> None:
        """Stop the timers."""
        await self._timers.cancel_all()

    # --- leaving, whatever happens -----------------------------------------------------------------------------------

    async def part_one(self, participant_id: str, reason: LeftReason) -> bool:
        """One participant leaves; False if it was not there any more."""
        if (live := self._by_participant.get(participant_id)) is None:
            return False
        async with self.locked(live.room.id):
            if (seat := live.seats.get(participant_id)) is None:
                return False
            await self.part(live, [seat], reason)
            return True

    def part_later(self, participant_id: str, reason: LeftReason) -> None:
        """The same, as soon as the store can be reached again."""

        async def again() -> None:
            await self.part_one(participant_id, reason)

        self._timers.start(("leaving", participant_id), STORE_RETRY, again)

    # --- what time brings ------------------------------------------------------------------------------------------

    async def end(self, room_id: str, by: str) -> None:
        """End the running session in a room, if there is one, and tell everybody in it."""
        async with self.locked(room_id):
            if (live := self.by_room.get(room_id)) is None:
                return
            _log.info("session.ending", session=live.session.id, by=by)
            seats = tuple(live.seats.values())
            await self.part(live, seats, "ended", end=True)
        for seat in seats:
            seat.tell(lambda connection: connection.removed("ended"))

    async def _expire(self, room_id: str) -> None:
        live = self.by_room.get(room_id)
        expires_at = live.room.expires_at if live else None
        if expires_at is not None and expires_at <= self._clock.now():  # else it was put off while the store was away
            await self.end(room_id, "expiry")

    async def _lose(self, participant_id: str) -> None:
        if (live := self._by_participant.get(participant_id)) is None:
            return
        async with self.locked(live.room.id):
            seat = live.seats.get(participant_id)
            if seat is None or seat.participant.connected:
                return
            await self.part(live, [seat], "lost")
        seat.tell(lambda connection: connection.removed("lost"))

    async def _end_if_empty(self, live: Live) -> None:
        async with self.locked(live.room.id):
            if not live.seats and self.by_session.get(live.session.id) is live:
                await self.part(live, (), "ended", end=True)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _left(self, seat: Seat, reason: LeftReason) -> Participant:
        return replace(seat.participant, left_at=self._clock.now(), left_reason=reason, connected=False)

    def _ends_now(self, lives: Sequence[Live], *, leaving: int) -> list[Session]:
        now = self._clock.now()
        at_once = self._empty_grace <= 0
        return [replace(live.session, ended_at=now) for live in lives if at_once and len(live.seats) == leaving]

    def _stand_up(self, live: Live, left: Participant) -> None:
        del live.seats[left.id]
        del self._by_participant[left.id]
        self.expect_no_longer(left.id)
        metrics.PARTICIPANTS.labels(left.kind).dec()
        _log.info("participant.left", **_names(left), reason=left.left_reason)
        live.notify(ParticipantLeft(left, left.left_reason or "left"))

    def _close_if_empty(self, live: Live, ended: Sequence[Session]) -> None:
        session = next((session for session in ended if session.id == live.session.id), None)
        if session is not None:
            live.session = session
            del self.by_room[live.room.id]
            del self.by_session[session.id]
            self._timers.cancel(("empty", session.id))
            self._timers.cancel(("expiry", live.room.id))
            metrics.SESSIONS.set(len(self.by_session))
            _log.info("session.ended", session=session.id, room=live.room.id)
            live.notify(SessionEnded(session))
        elif not live.seats:
            self._timers.start(("empty", live.session.id), self._empty_grace, self._ending(live))

    def _ending(self, live: Live) -> Callable[[], Awaitable[None]]:
        return lambda: self._end_if_empty(live)


def _names(participant: Participant) -> dict[str, str]:
    return {
        "participant": participant.id,
        "session": participant.session,
        "room": participant.room,
        "organisation": participant.organisation,
    }
