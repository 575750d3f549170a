"""The record of a running call, kept up to date in the store with everything needed to go on with it.

The record is always written whole. So while the database is away a call goes on, and the next write that succeeds
holds what the failed ones did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from dialroom.calls.events import call_event
from dialroom.calls.ports import CallStore
from dialroom.calls.record import CallRecord
from dialroom.core import metrics
from dialroom.core.clock import Clock
from dialroom.core.ending import Ending
from dialroom.core.errors import StoreUnavailable
from dialroom.core.events import Event
from dialroom.flows.stages import Arrived, InRoom, Stage
from dialroom.media.protocol import Statistics
from dialroom.rooms.values import Participant

_log = structlog.get_logger("dialroom.calls")

Snapshot = Callable[[Stage], bytes | None]
"""What is needed to go on with the call from a stage; None while it cannot be gone on with."""


class CallJournal:
    """Writes one call's record. It is the `Journal` of the call's flow."""

    def __init__(self, record: CallRecord, store: CallStore, clock: Clock, stage: Stage | None = None) -> None:
        self.record = record
        self.stage: Stage = stage or Arrived()
        self.snapshot: Snapshot = lambda stage: None
        self._store = store
        self._clock = clock
        self._writing = asyncio.Lock()
        self._savings: set[asyncio.Task[None]] = set()
        self._unwritten: list[Event] = []
        self._behind = False

    # --- what the flow says ------------------------------------------------------------------------------------

    async def note(self, what: str, detail: str = "") -> None:
        """One more step."""
        self._step(what, detail)
        await self._write()

    async def reached(self, stage: Stage, what: str = "", detail: str = "") -> None:
        """From here the conversation goes on if the process ends."""
        self.stage = stage
        if not isinstance(stage, InRoom) and self.record.state == "in_room":
            self.record = replace(self.record, state="answered")
        if what:
            self._step(what, detail)
        await self._write()

    async def in_language(self, language: str) -> None:
        """Written with the next step."""
        self.record = replace(self.record, language=language)

    async def seated(self, participant: Participant) -> None:
        """In the room; ``call.joined`` is told for the first."""
        now = self._clock.now()
        first = self.record.joined_at is None
        self.record = replace(
            self.record,
            state="in_room",
            room=participant.room,
            session=participant.session,
            participant=participant.id,
            joined_at=self.record.joined_at or now,
        )
        await self._write(*([call_event("call.joined", self.record, now)] if first else []))

    # --- what the call itself says -----------------------------------------------------------------------------

    async def received(self) -> None:
        """The call is known. Raises `StoreUnavailable`: without a record no call is taken."""
        self._step("received", f"from {self.record.source}")
        event = call_event("call.received", self.record, self._clock.now())
        await self._store.save(self.record, [event])

    async def answered(self, leg: str, codec: str) -> None:
        """Sound flows."""
        now = self._clock.now()
        self.record = replace(self.record, state="answered", answered_at=now, leg=leg, codec=codec)
        self._step("answered", codec)
        await self._write(call_event("call.answered", self.record, now))

    async def media_changed(self, codec: str, detail: str) -> None:
        """A re-INVITE changed codec, address or direction."""
        self.record = replace(self.record, codec=codec)
        await self.note("media_changed", detail)

    def measured(self, statistics: Statistics) -> None:
        """How good the sound is so far; written with the next step."""
        self.record = replace(self.record, statistics=statistics)

    async def signalled(self) -> None:
        """The dialog has moved on: only what is needed to resume is written."""
        resume = self.snapshot(self.stage)
        if resume is None or self.record.state == "ended":
            return
        async with self._writing:
            try:
                await self._store.save_resume(self.record.id, resume)
            except StoreUnavailable:
                _log.warning("call.not_stored", call=self.record.id)

    async def ended(self, ending: Ending, statistics: Statistics | None) -> None:
        """The last step. Saying it twice changes nothing."""
        if self.record.state == "ended":
            return
        now = self._clock.now()
        self.record = _ended(self.record, ending, now, statistics)
        type_ = "call.refused" if ending.result == "rejected" else "call.ended"
        _log.info(
            "call.ended",
            call=self.record.id,
            result=ending.result,
            reason=ending.reason,
            by=ending.by,
            sip_code=ending.sip_code,
        )
        metrics.CALLS.labels(self.record.direction, ending.result, ending.reason).inc()
        await self._write(call_event(type_, self.record, now))

    def _step(self, what: str, detail: str) -> None:
        self.record = self.record.with_step(self._clock.now(), what, detail)
        _log.info(f"call.{what}", call=self.record.id)

    async def flush(self) -> bool:
        """Writes what the database did not take; whether nothing is left to write."""
        if self._behind:
            await self._write()
        return not self._behind

    async def _write(self, *events: Event) -> None:
        """To its end, also if the flow that asked for it is cancelled meanwhile: what is written is then known."""
        self._unwritten.extend(events)
        saving = asyncio.create_task(self._save())
        self._savings.add(saving)
        saving.add_done_callback(self._savings.discard)
        await asyncio.shield(saving)

    async def _save(self) -> None:
        async with self._writing:
            pending: Sequence[Event] = tuple(self._unwritten)
            try:
                await self._store.save(self.record, pending, resume=self.snapshot(self.stage))
            except StoreUnavailable:
                self._behind = True
                _log.warning("call.not_stored", call=self.record.id)
            else:
                self._behind = False
                del self._unwritten[: len(pending)]


def _ended(record: CallRecord, ending: Ending, at: datetime, statistics: Statistics | None) -> CallRecord:
    detail = f"{ending.reason}, by {ending.by}"
    ended = replace(record, state="ended", ended_at=at, ending=ending, statistics=statistics or record.statistics)
    return ended.with_step(at, "ended", detail)
