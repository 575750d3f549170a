"""The running sessions, in memory: who sits where, who watches, and the timers that go with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

import structlog

from dialroom.core.clock import Clock
from dialroom.core.errors import StoreUnavailable
from dialroom.rooms.happenings import MeetingEvent, MeetingListener
from dialroom.rooms.values import Participant, Room, Session

STORE_RETRY: Final = 2.0
"""Seconds between tries to write something that must be written."""

_log = structlog.get_logger("dialroom.meetings")


class Connection(Protocol):
    """What a live participant's connection can be told. Calls to one connection come one after the other."""

    async def muted(self, muted: bool, by: str) -> None:
        """Somebody else muted or unmuted this participant."""

    async def hand_lowered(self) -> None:
        """A host lowered this participant's hand."""

    async def removed(self, reason: str) -> None:
        """The stay is over: ``removed``, ``ended``, ``replaced`` or ``lost``. The connection goes away."""

    async def moved(self, participant: Participant, room: Room) -> None:
        """The stay goes on in another session, as `participant`; its media bridge is ``participant.session``."""


class Tasks:
    """Work in the background that must not be lost: kept until done; failures nobody awaits are logged."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], *, awaited: bool = False) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done_awaited if awaited else self._done)
        return task

    def _done_awaited(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # the awaiting caller has it; if that was cancelled, nobody is to blame

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("meetings.background_failed", exc_info=error)

    async def settle(self) -> None:
        """Return when nothing is running any more."""
        while self._running:
            await asyncio.wait(self._running)

    async def cancel(self) -> None:
        """Stop what is running."""
        for task in tuple(self._running):
            task.cancel()
        await self.settle()


class Timers:
    """Named timers on an injected clock; starting a name again replaces its timer.

    What a timer does is tried again until the store can be reached, so that nobody stays for ever.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks = Tasks()
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    def start(self, key: tuple[str, str], seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        self.cancel(key)
        self._running[key] = self._tasks.start(self._run(key, seconds, action))

    def cancel(self, key: tuple[str, str]) -> None:
        if (task := self._running.pop(key, None)) is not None:
            task.cancel()

    async def cancel_all(self) -> None:
        self._running.clear()
        await self._tasks.cancel()

    async def _run(self, key: tuple[str, str], seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        await self._clock.sleep(seconds)
        self._running.pop(key, None)  # before the action, which may cancel or restart the timer of this name
        while True:
            try:
                return await action()
            except StoreUnavailable:
                _log.warning("meetings.timer_postponed", timer=key[0])
                await self._clock.sleep(STORE_RETRY)


class Seat:
    """A participant in a running session, with the connection it is told things by (None until re-attached)."""

    def __init__(self, participant: Participant, connection: Connection | None, tasks: Tasks) -> None:
        self.participant = participant
        self.connection = connection
        self._tasks = tasks
        self._telling = asyncio.Lock()

    def tell(self, what: Callable[[Connection], Awaitable[None]]) -> None:
        """Tell the connection, in the background and in order."""
        if self.connection is not None:
            self._tasks.start(self._tell(self.connection, what))

    async def _tell(self, connection: Connection, what: Callable[[Connection], Awaitable[None]]) -> None:
        async with self._telling:
            try:
                await what(connection)
            except Exception:
                _log.exception("meetings.connection_failed", participant=self.participant.id)


class Live:
    """A running session with its room as it is now."""

    def __init__(self, session: Session, room: Room) -> None:
        self.session = session
        self.room = room
        self.seats: dict[str, Seat] = {}
        self._listeners: dict[int, MeetingListener] = {}
        self._next = 0

    def seat_of(self, identity: str) -> Seat | None:
        return next((seat for seat in self.seats.values() if seat.participant.identity == identity), None)

    def watch(self, listener: MeetingListener) -> Callable[[], None]:
        ticket = self._next
        self._next += 1
        self._listeners[ticket] = listener
        return lambda: self._listeners.pop(ticket, None) and None

    def notify(self, event: MeetingEvent) -> None:
        for listener in tuple(self._listeners.values()):
            try:
                listener(event)
            except Exception:
                _log.exception("meetings.listener_failed", session=self.session.id)
