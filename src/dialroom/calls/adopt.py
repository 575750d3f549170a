"""Taking up, after a restart, the calls an earlier process was in the middle of.

What the media process holds (`Snapshot`) is matched with what the store says is running. A call that is in both goes on
where it was; the caller hears nothing of it. A leg nobody knows is closed. A call whose leg is gone is hung up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from dialroom.calls.ending import hung_up_by_us
from dialroom.calls.journal import CallJournal
from dialroom.calls.negotiation import MediaSide
from dialroom.calls.phone_call import PhoneCall
from dialroom.calls.ports import RunningCall
from dialroom.calls.record import CallRecord
from dialroom.calls.resume import Resume, decode_resume
from dialroom.calls.switchboard import Switchboard
from dialroom.core.ending import Ending
from dialroom.flows.stages import AskingCode, AskingPin, InRoom, Stage, Waiting
from dialroom.media.plane import MediaError
from dialroom.media.protocol import JoinLeg, LegState, OpenBridge, Snapshot
from dialroom.net.sip_server import InviteSession, SipServer
from dialroom.rooms.values import Participant
from dialroom.sip.errors import LocalError

_log = structlog.get_logger("dialroom.calls")

Found = tuple[CallRecord, Resume | None, InviteSession | None]
"""A call that was running; what is needed to go on with it, and its dialog, as far as there are such."""


def events_seen(running: Sequence[RunningCall], instance: str | None = None) -> int | None:
    """After which of the media process's events to listen on, so that no running call misses one."""
    resumes = [decode_resume(each.resume) for each in running if each.resume]
    seen = [each.last_event for each in resumes if each and (instance is None or each.instance == instance)]
    return min(seen, default=None)


def instance_seen(running: Sequence[RunningCall]) -> str | None:
    """Which media process the running calls were last with."""
    for each in reversed(running):
        resume = decode_resume(each.resume) if each.resume else None
        if resume is not None and resume.instance is not None:
            return resume.instance
    return None


class Adoption:
    """One restart. ``waiting`` are the participants `Meetings.adopt` found."""

    def __init__(self, switchboard: Switchboard, sip: SipServer, waiting: Sequence[Participant]) -> None:
        self._switchboard = switchboard
        self._desk = switchboard.desk
        self._sip = sip
        self._seats = {each.call: each for each in waiting if each.call is not None}
        self._last_event = 0

    async def run(self, running: Sequence[RunningCall], snapshot: Snapshot) -> int:
        """Takes up what can be; returns how many calls go on."""
        # All dialogs first, before anything is awaited: a BYE that comes now must find its call.
        found = [self._find(each) for each in running]
        self._last_event = snapshot.last_event
        legs = {state.leg: state for state in snapshot.legs}
        tried = await asyncio.gather(*(self._take_up_if_possible(each, legs, snapshot.instance) for each in found))
        adopted = [each for each in tried if each is not None]
        for orphan in legs.keys() - {call.leg.id for call, _ in adopted}:
            await self._close(orphan)
        self._switchboard.adopt(adopted)
        return len(adopted)

    async def _take_up_if_possible(
        self, found: Found, legs: Mapping[str, LegState], instance: str
    ) -> tuple[PhoneCall, InviteSession] | None:
        record, resume, invite = found
        leg = legs.get(record.leg or "")
        if resume is None or invite is None:
            await self._give_up(record, "server_restarted")
        elif leg is None or resume.instance != instance:
            invite.bye("media lost")
            await self._give_up(record, "media_lost")
        elif (call := await self._take_up_or_end(record, resume, invite, leg)) is not None:
            return call, invite
        return None

    def _find(self, each: RunningCall) -> Found:
        resume = decode_resume(each.resume) if each.resume else None
        if resume is None:
            return each.record, None, None
        try:
            return each.record, resume, self._sip.restore(resume.sip)
        except LocalError as error:
            _log.warning("call.not_restored", call=each.record.id, error=str(error))
            return each.record, resume, None

    async def _take_up_or_end(
        self, record: CallRecord, resume: Resume, invite: InviteSession, leg: LegState
    ) -> PhoneCall | None:
        """One call that cannot be taken up ends alone. Its leg, if there still is one, is closed as an orphan."""
        try:
            return await self._take_up(record, resume, invite, leg)
        except MediaError as error:
            _log.warning("call.not_taken_up", call=record.id, error=str(error))
            invite.bye("media lost")
            await self._give_up(record, "media_lost")
            return None

    async def _take_up(
        self, record: CallRecord, resume: Resume, invite: InviteSession, leg: LegState
    ) -> PhoneCall | None:
        number = await self._desk.numbers.find(record.organisation, record.number or "")
        if number is None:
            invite.bye("the number is gone")
            await self._give_up(record, "server_restarted")
            return None
        stage = self._stage(record, resume.stage)
        await self._seat(leg, stage)
        journal = CallJournal(record, self._desk.calls, self._desk.clock, stage)
        side = MediaSide.restored(resume.side, peer=invite.facts.source_host)
        call = self._switchboard.phone_call(invite, journal, number, resume.straight_into, leg.leg, side)
        at_the_door = isinstance(stage, AskingCode | AskingPin | Waiting)
        call.leg.resumed(
            bridge=leg.bridge,
            participant=leg.participant,
            playback=leg.playback,
            last_event=self._last_event if at_the_door else resume.last_event,
        )
        await journal.note("taken_up_again", "after a restart of the server")
        return call

    def _stage(self, record: CallRecord, stage: Stage) -> Stage:
        """The seat a caller has may be newer than the stage that was stored: entering and moving come first."""
        seat = self._seats.get(record.id)
        if seat is None:
            return stage
        gain = stage.gain if isinstance(stage, InRoom) else 0.0
        return InRoom(room=seat.room, session=seat.session, participant=seat.id, gain=gain)

    async def _seat(self, leg: LegState, stage: Stage) -> None:
        if not isinstance(stage, InRoom):
            return
        seat = next((each for each in self._seats.values() if each.id == stage.participant), None)
        if seat is None or (leg.bridge == seat.session and leg.participant == seat.id and leg.muted == seat.muted):
            return
        media = self._desk.media
        await media.perform(OpenBridge(bridge=seat.session, tag=seat.session))
        await media.perform(JoinLeg(leg=leg.leg, bridge=seat.session, participant=seat.id, muted=seat.muted))

    async def _give_up(self, record: CallRecord, reason: str) -> None:
        ending = hung_up_by_us(reason)
        if record.answered_at is None:
            ending = Ending("failed", reason, None, "server")
        await CallJournal(record, self._desk.calls, self._desk.clock).ended(ending, None)
        seat = self._seats.get(record.id)
        if seat is not None:
            await self._desk.meetings.leave(seat.id, "lost")

    async def _close(self, leg: str) -> None:
        _log.info("leg.closed", leg=leg, reason="no call belongs to it")
        try:
            await self._desk.media.close_leg(leg)
        except MediaError as error:
            _log.warning("leg.not_closed", leg=leg, error=str(error))
