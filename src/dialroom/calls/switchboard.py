"""All phone calls of this process: taken, refused, run, taken up again after a restart, and ended when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from dialroom.auth.guesses import Guesses
from dialroom.calls.caller import caller_number, caller_of, identity_of
from dialroom.calls.clips import ClipShelf
from dialroom.calls.ending import refused
from dialroom.calls.explainer import numbers_asked_for
from dialroom.calls.gatekeeper import Gatekeeper
from dialroom.calls.guessing import GuessCounter, guesser_of
from dialroom.calls.journal import CallJournal
from dialroom.calls.limits import Arrival, EntryTones, Lobby, LobbyLimits
from dialroom.calls.negotiation import MediaSide
from dialroom.calls.phone_call import PhoneCall
from dialroom.calls.ports import CallStore
from dialroom.calls.record import CallRecord
from dialroom.calls.sip_leg import LegParts
from dialroom.core import metrics
from dialroom.core.clock import Clock
from dialroom.core.errors import StoreUnavailable
from dialroom.core.ids import new_id
from dialroom.core.limits import Bucket, Buckets, crowd_name
from dialroom.core.numbers import is_e164, number_from_sip_user
from dialroom.flows.conversation import Conversation, DialInSettings
from dialroom.flows.leg import LegGoneError, Place
from dialroom.flows.stages import InRoom
from dialroom.flows.voice import Voice
from dialroom.media.plane import MediaError, MediaPlane
from dialroom.media.protocol import LegState, Snapshot
from dialroom.net.sip_server import InviteSession
from dialroom.prompts.catalogue import DEFAULT_LANGUAGE, Prompts
from dialroom.rooms.directory import Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.ports import NumberStore
from dialroom.rooms.values import Gateway, Number
from dialroom.routing.decide import CallFacts, Decision, JoinRoom, Reject, decide
from dialroom.routing.gateways import Admitted
from dialroom.routing.trace import as_seen_by
from dialroom.sip.facts import RequestFacts

_log = structlog.get_logger("dialroom.calls")

RETRY_AFTER = (("Retry-After", "5"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What calls work with. ``house`` is the organisation that keeps the records of strangers' calls;
    ``media_host`` is our media address as a peer (its address) reaches it."""

    media: MediaPlane
    clips: ClipShelf
    prompts: Prompts
    rooms: Rooms
    meetings: Meetings
    numbers: NumberStore
    calls: CallStore
    guesses: Guesses
    gatekeeper: Gatekeeper
    clock: Clock
    house: str
    media_host: Callable[[str], str]
    dial_in: DialInSettings = field(default_factory=DialInSettings)
    max_calls: int = 5000
    lobby: LobbyLimits = field(default_factory=LobbyLimits)


class Switchboard:
    """Takes SIP's hooks; `SipServer` gets `on_invite` and `on_refused`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._running: dict[str, PhoneCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._tones = EntryTones(desk.clock)
        self._lobby = Lobby(desk.lobby)
        self._taken = 0
        self._refusals = Bucket(desk.clock, rate=10.0, burst=100)
        self._refusals_by_source = Buckets(desk.clock, rate=0.5, burst=30)
        self.parts = LegParts(desk.media, desk.clips, self._tones.allow)
        self._unlisten = desk.media.listen_link(self._on_media_link)

    @property
    def running(self) -> int:
        """Calls running now."""
        return len(self._running)

    @property
    def takes_calls(self) -> bool:
        """Whether a new call would be taken now, as far as it is for us to say."""
        return not self._stopping and self._taken < self.desk.max_calls

    # --- SIP's hooks -------------------------------------------------------------------------------------------

    def on_invite(self, invite: InviteSession) -> None:
        """A call was let in."""
        if not self.takes_calls:
            reason = "server_stopping" if self._stopping else "no_capacity"
            invite.reject(503, None, RETRY_AFTER)
            self._refused(invite.facts, 503, reason)
            return
        self._start_call(self._take(invite))

    def on_refused(self, facts: RequestFacts, status: int, reason: str) -> None:
        """A call was turned away at the door: a stranger's, or one we cannot make sense of or have no room for."""
        if not isinstance(self.desk.gatekeeper.identify(facts), Admitted):
            self._refused(facts, status, "stranger", reason)
        else:
            self._refused(facts, status, "no_capacity" if status == 503 else "bad_request", reason)

    async def keep_asking_who_came_back(self, every: float = 5.0) -> None:
        """Runs for ever: callers who were asked for credentials and never gave any are on record too."""
        while True:
            await self.desk.clock.sleep(every)
            for facts in self.desk.gatekeeper.gave_up():
                self._refused(facts, 401, "not_authenticated", "it was asked for credentials and gave none")

    # --- taking a call -----------------------------------------------------------------------------------------

    async def _take(self, invite: InviteSession) -> None:
        try:
            await self._take_or_refuse(invite)
        except StoreUnavailable:
            facts, reason = invite.facts, "store_unavailable"
            to = facts.request_user
            _log.error("call.refused", sip_call_id=invite.call_id, reason=reason, to=to, source=facts.source_host)
            metrics.CALLS.labels("inbound", "rejected", reason).inc()
            invite.reject(503, None, RETRY_AFTER)
        except Exception:
            invite.reject(500)
            raise

    async def _take_or_refuse(self, invite: InviteSession) -> None:
        facts = invite.facts
        admission = self.desk.gatekeeper.identify(facts)
        gateway = admission.gateway if isinstance(admission, Admitted) else None
        asked = CallFacts(facts.request_user, facts.to_user, gateway)
        candidates = await numbers_asked_for(self.desk.numbers, asked)
        decision = decide(asked, candidates)
        record = self._record(facts, decision, gateway)
        record = replace(record, trace=as_seen_by(record.organisation, admission.trace + decision.trace))
        journal = CallJournal(record, self.desk.calls, self.desk.clock)
        if isinstance(decision, Reject):
            await self._turn_away(invite, journal, decision.status, decision.reason)
            return
        arrival = _arrival(record, facts)
        if (crowded := self._lobby.refusal(arrival)) is not None:
            await self._turn_away(invite, journal, crowded.status, crowded.reason)
            return
        with self._lobby.holding(arrival) as journal.on_joined:
            await journal.received()
            number = next(each for each in candidates if each.id == decision.number.id)
            call = self._phone_call(invite, journal, number, decision)
            await self._run(call, invite)

    async def _turn_away(self, invite: InviteSession, journal: CallJournal, status: int, reason: str) -> None:
        invite.reject(status)
        if self._worth_a_record(invite.facts):
            await journal.ended(refused(status, reason), None)
        else:
            metrics.CALLS.labels("inbound", "rejected", reason).inc()

    async def _run(self, call: PhoneCall, invite: InviteSession) -> None:
        self._running[call.id] = call
        metrics.CALLS_RUNNING.set(self.running)
        try:
            await call.run()
        finally:
            del self._running[call.id]
            metrics.CALLS_RUNNING.set(self.running)

    def _phone_call(self, invite: InviteSession, journal: CallJournal, number: Number, decision: Decision) -> PhoneCall:
        straight_into = decision.room if isinstance(decision, JoinRoom) else None
        return self.phone_call(invite, journal, number, straight_into, new_id("leg"), self._side(invite))

    def phone_call(
        self,
        invite: InviteSession,
        journal: CallJournal,
        number: Number,
        straight_into: str | None,
        leg: str,
        side: MediaSide,
    ) -> PhoneCall:
        """A call with its conversation, not yet running."""
        desk, record = self.desk, journal.record
        guesser = guesser_of(
            record.organisation, number.number, record.from_number, invite.facts.source_host, record.gateway
        )
        voice = Voice(desk.prompts, record.language or number.language or DEFAULT_LANGUAGE)
        journal.record = replace(record, language=voice.language)
        call = PhoneCall(leg, invite, side, journal, self.parts, straight_into)
        call.conversation = Conversation(
            leg=call.leg,
            voice=voice,
            number=number,
            caller=caller_of(record),
            rooms=desk.rooms,
            meetings=desk.meetings,
            guesses=GuessCounter(desk.guesses, guesser),
            journal=journal,
            clock=desk.clock,
            began=record.received_at,
            settings=desk.dial_in,
        )
        return call

    # --- records -----------------------------------------------------------------------------------------------

    def _refused(self, facts: RequestFacts, status: int, reason: str, detail: str = "") -> None:
        if self._worth_a_record(facts):
            self._start(self._record_refusal(facts, status, reason, detail))
        else:
            metrics.CALLS.labels("inbound", "rejected", reason).inc()

    def _worth_a_record(self, facts: RequestFacts) -> bool:
        """Floods of refused calls, one source's or all together, are counted, not recorded one by one."""
        source = crowd_name(facts.source_host) or facts.source_host
        return self._refusals_by_source.of(source).allow() and self._refusals.allow()

    async def _record_refusal(self, facts: RequestFacts, status: int, reason: str, detail: str) -> None:
        admission = self.desk.gatekeeper.identify(facts)
        gateway = admission.gateway if isinstance(admission, Admitted) else None
        record = self._record(facts, None, gateway)
        record = replace(record, trace=as_seen_by(record.organisation, admission.trace))
        if detail:
            record = record.with_step(self.desk.clock.now(), "refused_at_the_door", detail)
        journal = CallJournal(record, self.desk.calls, self.desk.clock)
        await journal.ended(refused(status, reason), None)

    def _record(self, facts: RequestFacts, decision: Decision | None, gateway: object) -> CallRecord:
        number = decision.number if decision else None
        owner = gateway if isinstance(gateway, Gateway) else None
        region = owner.region if owner else None
        user, name = identity_of(facts, trusted=owner is not None)
        organisation = number.organisation if number else owner.organisation if owner else self.desk.house
        dialled = number.number if number else number_from_sip_user(facts.request_user, region)
        return CallRecord(
            id=new_id("call"),
            organisation=organisation,
            direction="inbound",
            from_number=caller_number(user, region),
            to_number=dialled or facts.request_user,
            from_uri=facts.from_uri,
            to_uri=facts.to_uri,
            source=f"{facts.transport}:{facts.source_host}:{facts.source_port}",
            sip_call_id=facts.call_id,
            received_at=self.desk.clock.now(),
            from_name=name[:80],
            gateway=owner.id if owner else None,
            number=number.id if number else None,
        )

    def _side(self, invite: InviteSession) -> MediaSide:
        source = invite.facts.source_host
        return MediaSide(self.desk.media_host(source), peer=source)

    # --- the end -----------------------------------------------------------------------------------------------

    async def stop(self, *, keep_calls: bool, patience: float = 3.0) -> None:
        """New calls get 503. Running ones are hung up or, with ``keep_calls``, left for the next process."""
        self._stopping = True
        for call in tuple(self._running.values()):
            call.hand_over() if keep_calls else await call.leg.hang_up("server_stopped")
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=patience)
        self._unlisten()

    def _on_media_link(self, snapshot: Snapshot | None) -> None:
        """After a lost link: calls whose leg the media process does not know any more are hung up, the others put where
        their meeting has them, should they have been moved or muted meanwhile."""
        if snapshot is None:
            _log.warning("media.link_lost", calls=self.running)
            return
        legs = {state.leg: state for state in snapshot.legs}
        gone = [call for call in self._running.values() if call.answered and call.leg.id not in legs]
        _log.info("media.link_back", calls=self.running, legs_lost=len(gone))
        for call in gone:
            self._start(call.leg.hang_up("media_lost"))
        for call in self._running.values():
            if (state := legs.get(call.leg.id)) is not None:
                self._start(self._put_right(call, state))

    async def _put_right(self, call: PhoneCall, state: LegState) -> None:
        try:
            await call.leg.put_right(Place(state.bridge, state.participant, state.muted))
        except LegGoneError:
            return
        except MediaError as error:
            _log.warning("call.not_put_right", call=call.id, error=str(error))

    def adopt(self, calls: Iterable[tuple[PhoneCall, InviteSession]]) -> None:
        """Runs calls of an earlier process."""
        for call, invite in calls:
            self._start_call(self._run_on(call, invite))

    async def _run_on(self, call: PhoneCall, invite: InviteSession) -> None:
        with self._lobby.holding(_arrival(call.journal.record, invite.facts)) as joined:
            call.journal.on_joined = joined
            if isinstance(call.journal.stage, InRoom):
                joined()
            await self._run(call, invite)

    def _start_call(self, work: Coroutine[Any, Any, None]) -> None:
        """Counted from now on, before anything of it runs."""
        self._taken += 1
        self._start(work).add_done_callback(self._call_over)

    def _call_over(self, _task: asyncio.Task[None]) -> None:
        self._taken -= 1

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("call.crashed", exc_info=error)


def _arrival(record: CallRecord, facts: RequestFacts) -> Arrival:
    # A PBX may give all its callers the same name, but not the same number.
    number = record.from_number if is_e164(record.from_number) else ""
    return Arrival(organisation=record.organisation, gateway=record.gateway, source=facts.source_host, caller=number)
