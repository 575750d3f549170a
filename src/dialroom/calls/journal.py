"""The record of a running call, kept up to date in the store with everything needed to go on with it.

The record is always written whole, and by one writer per call: what changes while it writes is written together next.
So while the database is away a call goes on, and the next write that succeeds holds what the failed ones did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

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

ACKNOWLEDGED_WITHIN: Final = 10.0
"""Seconds. A process that dies before sends its 200 again after the restart, and gets the ACK again: the caller's side
gives each repetition of the 200 an ACK for 64·T1 = 32 s (RFC 3261 §13.2.2.4)."""

Snapshot = Callable[[Stage], bytes | None]
"""What is needed to go on with the call from a stage; None while it cannot be gone on with."""


class CallJournal:
    """Writes one call's record. It is the `Journal` of the call's flow."""

    def __init__(self, record: CallRecord, store: CallStore, clock: Clock, stage: Stage | None = None) -> None:
        self.record = record
        self.stage: Stage = stage or Arrived()
        self.snapshot: Snapshot = lambda stage: None
        self.on_joined: Callable[[], None] = lambda: None
        self._store = store
        self._clock = clock
        self._saving: asyncio.Task[None] | None = None
        self._dirty = False
        self._unwritten: list[Event] = []
        self._behind = False
        self._acknowledgement: asyncio.Task[None] | None = None

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
        self.on_joined()
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
        self._step("received", f"from {self.record.source}", **_whence(self.record))
        event = call_event("call.received", self.record, self._clock.now())
        await self._store.save(self.record, [event])

    async def answered(self, leg: str, codec: str) -> None:
        """Sound flows. Written together with the conversation's first stage, which follows at once."""
        now = self._clock.now()
        self.record = replace(self.record, state="answered", answered_at=now, leg=leg, codec=codec)
        self._step("answered", codec)
        self._save_soon(call_event("call.answered", self.record, now))

    async def media_changed(self, codec: str, detail: str) -> None:
        """A re-INVITE changed codec, address or direction."""
        self.record = replace(self.record, codec=codec)
        await self.note("media_changed", detail)

    def measured(self, statistics: Statistics) -> None:
        """How good the sound is so far; written with the next step."""
        self.record = replace(self.record, statistics=statistics)

    async def signalled(self) -> None:
        """The dialog has moved on: what is needed to resume is written."""
        if self.record.state != "ended" and self.snapshot(self.stage) is not None:
            await self._write()

    def acknowledged(self) -> None:
        """Our answer was acknowledged: written with the next step, at the latest after `ACKNOWLEDGED_WITHIN`."""
        if self._acknowledgement is None and self.record.state != "ended":
            self._acknowledgement = asyncio.create_task(self._save_acknowledgement())

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
            **(_whence(self.record) if ending.result == "rejected" else {}),
        )
        metrics.CALLS.labels(self.record.direction, ending.result, ending.reason).inc()
        await self._write(call_event(type_, self.record, now))

    def _step(self, what: str, detail: str, **more: str) -> None:
        self.record = self.record.with_step(self._clock.now(), what, detail)
        if detail and not more:
            more = {"detail": detail}
        _log.info(f"call.{what}", call=self.record.id, **more)

    async def flush(self) -> bool:
        """Writes what the database did not take or does not know yet; whether nothing is left to write."""
        if self._saving is not None:
            await asyncio.shield(self._saving)
        if self._behind or self._acknowledgement is not None:
            await self._write()
        return not self._behind

    async def _write(self, *events: Event) -> None:
        """To its end, also if the flow that asked for it is cancelled meanwhile: what is written is then known."""
        await asyncio.shield(self._save_soon(*events))

    def _save_soon(self, *events: Event) -> asyncio.Task[None]:
        self._unwritten.extend(events)
        self._dirty = True
        if self._saving is None:
            self._saving = asyncio.create_task(self._save())
            self._saving.add_done_callback(self._saved)
        return self._saving

    async def _save(self) -> None:
        try:
            while self._dirty:
                self._dirty = False
                self._forget_acknowledgement()
                await self._save_once()
        finally:
            self._saving = None

    async def _save_once(self) -> None:
        pending: Sequence[Event] = tuple(self._unwritten)
        try:
            await self._store.save(self.record, pending, resume=self.snapshot(self.stage))
        except StoreUnavailable:
            self._behind = True
            _log.warning("call.not_stored", call=self.record.id)
        else:
            self._behind = False
            del self._unwritten[: len(pending)]

    def _saved(self, saving: asyncio.Task[None]) -> None:
        if not saving.cancelled() and (error := saving.exception()) is not None:
            _log.error("call.not_stored", call=self.record.id, exc_info=error)

    async def _save_acknowledgement(self) -> None:
        await self._clock.sleep(ACKNOWLEDGED_WITHIN)
        self._save_soon()

    def _forget_acknowledgement(self) -> None:
        if self._acknowledgement is not None:
            self._acknowledgement.cancel()
            self._acknowledgement = None


def _whence(record: CallRecord) -> dict[str, str]:
    """For the log, where a call is looked for by what was dialled and by where it came from."""
    return {"to": record.to_number, "source": record.source}


def _ended(record: CallRecord, ending: Ending, at: datetime, statistics: Statistics | None) -> CallRecord:
    if statistics is not None and statistics.packets_received == 0 and statistics.packets_sent >= 50:
        record = record.with_step(
            at, "no_media_received", "not one RTP packet came: is `rtp_ports` open and our address right?"
        )
    detail = f"{ending.reason}, by {ending.by}"
    ended = replace(record, state="ended", ended_at=at, ending=ending, statistics=statistics or record.statistics)
    return ended.with_step(at, "ended", detail)
