"""A phone: SIP signalling and a leg of the media plane made into one `Leg`. The one place that knows both.

`run` follows what happens on both sides until the call is over. Then it calls ``on_gone`` once, with how the call
ended; whoever runs the flow cancels it there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from dialroom.calls.clips import ClipShelf
from dialroom.calls.digits import DigitMerger, Way
from dialroom.calls.ending import hung_up_by_us, refused, signalled
from dialroom.calls.journal import CallJournal
from dialroom.calls.negotiation import MediaSide, NoCommonMediaError
from dialroom.core.ending import Ending
from dialroom.core.ids import new_id
from dialroom.flows.leg import LegGoneError, Place, Played
from dialroom.media.plane import MediaError, MediaLost, MediaPlane, MediaRefused
from dialroom.media.protocol import (
    Command,
    ConfigureLeg,
    DigitReceived,
    Event,
    JoinLeg,
    LeaveLeg,
    LegEnded,
    LegSilent,
    MuteLeg,
    OpenBridge,
    Play,
    PlaybackEnded,
    PlayItem,
    PlayToBridge,
    SetLegGain,
    SourceRejected,
    Statistics,
    StatisticsReported,
    StopPlayback,
)
from dialroom.net.sip_server import InviteSession
from dialroom.sdp.media import MediaDescription
from dialroom.sip.dtmf_info import parse_dtmf_info
from dialroom.sip.errors import LocalError
from dialroom.sip.session.events import (
    Acknowledged,
    Cancelled,
    Ended,
    Failed,
    Info,
    Offer,
    ProbeFailed,
    RemoteAnswer,
    SessionEvent,
)

_log = structlog.get_logger("dialroom.calls")

MAX_DIGITS_WAITING = 64
SILENCE_BEFORE_PROBE = 15_000
"""Milliseconds without RTP and RTCP after which the phone is asked whether it is still there."""
_STATUSES = {"server_stopped": 503, "media_lost": 503, "internal_error": 500}
"""What a call hung up for this reason gets if it was not answered yet; others get 480."""
PLAYBACK_GRACE = 5.0
"""Seconds past its length after which a playback is taken as over, should its end never be told."""


@dataclass(frozen=True, slots=True)
class LegParts:
    """What every SIP leg works with."""

    media: MediaPlane
    clips: ClipShelf
    announce: Callable[[str], bool]
    """Whether a tone may be played into this bridge now; keeps a crowd from becoming an alarm bell."""


class SipLeg:
    """A `Leg` over an `InviteSession`."""

    def __init__(
        self,
        leg_id: str,
        invite: InviteSession,
        side: MediaSide,
        journal: CallJournal,
        parts: LegParts,
        on_gone: Callable[[Ending], None],
    ) -> None:
        self._id = leg_id
        self._invite = invite
        self._side = side
        self._journal = journal
        self._media = parts.media
        self._clips = parts.clips
        self._announce = parts.announce
        self._on_gone = on_gone
        self._merger = DigitMerger()
        self._digits: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._typed = asyncio.Event()
        self._playback: str | None = None
        self._played = asyncio.Event()
        self._bridge: str | None = None
        self._participant: str | None = None
        self._open = False
        self._answered = False
        self._gone = False
        self._lost = False
        self._ending: Ending | None = None
        self.acted_upon = self._media.last_event
        """Up to which event of the media process the caller's digits have been acted upon."""
        self.handed_over = False
        self._put_right: Callable[[Place], Awaitable[None]] | None = None
        self._unlisten = self._media.listen(leg_id, self._on_media)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- Leg ---------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The media plane's name of this leg."""
        return self._id

    @property
    def playing(self) -> bool:
        """Whether something plays to the caller now."""
        return self._playback is not None and not self._played.is_set()

    @property
    def lost(self) -> bool:
        """Whether the call is over because something failed: nobody hung up."""
        return self._lost

    async def answer(self) -> None:
        """Opens the media and accepts the INVITE. Raises `LegGoneError`; then the caller has been told why."""
        self._check()
        if self._answered:
            return
        offer = self._invite.remote_sdp
        try:
            hints = self._side.hints(offer)
            self._open = True  # whoever cancels us now has a leg to close, answered or not
            opened = await self._media.open_leg(self._id, tag=self._journal.record.id, **hints)
            self._side.opened(opened.address, opened.rtp_port)
            sdp = self._side.answer(offer) if offer else self._side.offer()
            if self._side.media is not None:
                await self._media.perform(ConfigureLeg(leg=self._id, media=self._side.media))
        except NoCommonMediaError as error:
            raise await self._refuse(488, "no_common_media", str(error)) from error
        except MediaRefused as error:
            full = error.code in ("no_port", "no_capacity")
            raise await self._refuse(503, "no_capacity" if full else "media_refused", error.message) from error
        except MediaLost as error:
            raise await self._refuse(503, "media_lost", str(error)) from error
        self._check()
        if self._invite.over:
            raise LegGoneError  # what ended it is on its way to `run`
        self._invite.accept(sdp)
        self._answered = True
        await self._journal.answered(self._id, self._side.codec)

    async def reject(self, status: int, reason: str) -> None:
        """Refuses the call with a SIP status, before it was answered."""
        if not self._gone:
            self._invite.reject(status)
            self._end(refused(status, reason))

    async def play(self, items: Sequence[PlayItem], *, barge_in: bool = False) -> Played:
        """Plays to the caller and returns when it was heard, or when a digit stopped it."""
        self._check()
        if barge_in and not self._digits.empty():
            return "interrupted"
        self._typed.clear()
        await self.start_playing(items)
        playback, played = self._playback, self._played
        waiting = [asyncio.create_task(played.wait())]
        if barge_in:
            waiting.append(asyncio.create_task(self._typed.wait()))
        try:
            patience = self._clips.seconds(items) + PLAYBACK_GRACE
            await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        self._check()
        if barge_in and self._typed.is_set() and not played.is_set():
            if self._playback == playback:
                await self.stop()
            return "interrupted"
        return "finished"

    async def start_playing(self, items: Sequence[PlayItem], *, loop: bool = False) -> None:
        """Starts playing, replacing what plays, and returns at once."""
        await self._clips_there(items)
        playback = new_id("play")
        self._played.set()
        self._playback, self._played = playback, asyncio.Event()
        await self._do(Play(leg=self._id, playback=playback, items=list(items), loop=loop))

    async def stop(self) -> None:
        """Stops what plays."""
        self._playback = None
        self._played.set()
        await self._do(StopPlayback(leg=self._id))

    async def next_digit(self, within: float | None = None) -> str | None:
        """The next key the caller pressed, or None after ``within`` seconds without one."""
        self._check()
        try:
            async with asyncio.timeout(within):
                digit, event = await self._digits.get()
        except TimeoutError:
            return None
        self.acted_upon = max(self.acted_upon, event)
        return digit

    def forget_digits(self) -> None:
        """Drops the digits typed so far and not yet read."""
        while not self._digits.empty():
            _, event = self._digits.get_nowait()
            self.acted_upon = max(self.acted_upon, event)

    async def join(self, bridge: str, participant: str, *, muted: bool) -> None:
        """Puts the caller into a bridge as this participant."""
        await self._do(OpenBridge(bridge=bridge, tag=bridge))
        await self._do(JoinLeg(leg=self._id, bridge=bridge, participant=participant, muted=muted))
        self._bridge, self._participant = bridge, participant

    async def leave(self) -> None:
        """Takes the caller out of the bridge."""
        self._bridge = self._participant = None
        await self._do(LeaveLeg(leg=self._id))

    async def mute(self, muted: bool) -> None:
        """Stops or resumes mixing the caller's voice."""
        await self._do(MuteLeg(leg=self._id, muted=muted))

    async def gain(self, decibels: float) -> None:
        """How loud the caller hears the room."""
        await self._do(SetLegGain(leg=self._id, gain=decibels))

    async def tell_others(self, items: Sequence[PlayItem]) -> None:
        """Plays to everybody in the bridge but this caller, unless that was done a moment ago."""
        bridge = self._bridge
        if bridge is None or not self._announce(bridge):
            return
        await self._clips_there(items)
        await self._do(PlayToBridge(bridge=bridge, items=list(items), except_participant=self._participant))

    def when_back(self, put_right: Callable[[Place], Awaitable[None]]) -> None:
        """Have this called when the media process is back."""
        self._put_right = put_right

    async def hang_up(self, reason: str) -> None:
        """Ends the call. Hanging up twice changes nothing."""
        if self._gone:
            return
        if not self._answered:
            await self.reject(_STATUSES.get(reason, 480), reason)
            return
        self._ending = hung_up_by_us(reason)
        self._invite.bye(reason)
        self._end(self._ending)

    # --- for whoever runs the call -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Follows the signalling until the call is over."""
        while not self._gone:
            event = await self._invite.next_event()
            try:
                await self._signalled(event)
            except MediaError as error:
                _log.warning("call.media_failed", call=self._journal.record.id, error=str(error))

    def resumed(self, *, bridge: str | None, participant: str | None, playback: str | None, last_event: int) -> None:
        """Takes up a leg of an earlier process: what the media plane says of it, and which of its events are old."""
        self._open = self._answered = True
        self._bridge, self._participant, self._playback = bridge, participant, playback
        self.acted_upon = last_event

    async def put_right(self, there: Place) -> None:
        """The media process is back and has the leg there. Raises `LegGoneError`, `MediaError`."""
        if self._put_right is not None:
            await self._put_right(there)

    @property
    def closed(self) -> bool:
        """Whether nothing of it is left in the media process, unless for the next process to take up."""
        return not self._open or self.handed_over

    async def close(self) -> Statistics | None:
        """Closes the media; returns its last statistics. To be tried again unless it is `closed` then."""
        self._unlisten()
        for task in self._tasks:
            task.cancel()
        if self.closed:
            return None
        try:
            statistics = await self._media.close_leg(self._id)
        except MediaLost:
            return None
        except MediaRefused:  # there is no such leg any more
            statistics = None
        self._open = False
        return statistics

    # --- signalling --------------------------------------------------------------------------------------------

    async def _signalled(self, event: SessionEvent) -> None:
        match event:
            case Cancelled() | Failed() | Ended():
                self._end(self._ending or signalled(event))
            case Info(content_type, body):
                if (pressed := parse_dtmf_info(content_type, body)) is not None:
                    self._pressed(pressed.digit, "info", 0.0)
            case Acknowledged(sdp):
                if sdp is not None:
                    await self._remote_answered(sdp)
                elif self._side.state.offered:
                    # RFC 3261 §13.2.1: an offer in the 2xx MUST have its answer in the ACK
                    await self._journal.note("answer_unusable", "the ACK brought no answer to our offer")
                    await self.hang_up("media_refused")
                self._journal.acknowledged()
            case RemoteAnswer(sdp):
                await self._remote_answered(sdp)
                await self._journal.signalled()
            case Offer():
                await self._offered(event)
            case ProbeFailed(status):
                await self._journal.note("probe_failed", f"{status}" if status else "no answer")
                await self.hang_up("connection_lost")
            case _:
                await self._journal.signalled()

    async def _offered(self, offer: Offer) -> None:
        if not self._invite.awaits_answer(offer):
            return  # taken back before its turn came; another may wait by now
        before = self._side.state
        try:
            ours = self._side.offer() if offer.sdp is None else self._side.answer(offer.sdp)
            if offer.sdp is not None:
                await self._configure()
        except NoCommonMediaError as error:
            self._invite.reject_offer(488)
            await self._journal.note("media_change_refused", str(error))
            return
        except MediaError:
            self._side.state = before
            if self._invite.awaits_answer(offer):
                self._invite.reject_offer(500)
            raise
        if not self._invite.awaits_answer(offer):
            # The peer cancelled its re-INVITE meanwhile: "the session parameters MUST remain unchanged, as if no
            # re-INVITE had been issued" (RFC 3261 §14.1).
            self._side.state = before
            await self._configure()
            return
        self._invite.answer_offer(ours)
        await self._changed(before.agreed)

    async def _remote_answered(self, sdp: bytes) -> None:
        before = self._side.state.agreed
        try:
            self._side.answered(sdp)
        except NoCommonMediaError as error:
            await self._journal.note("answer_unusable", str(error))
            await self.hang_up("media_refused")
            return
        await self._configure()
        await self._changed(before)

    async def _configure(self) -> None:
        if self._side.media is not None:
            await self._media.perform(ConfigureLeg(leg=self._id, media=self._side.media))

    async def _changed(self, before: MediaDescription | None) -> None:
        if difference := self._side.difference(before):
            await self._journal.media_changed(self._side.codec, difference)
        else:
            await self._journal.signalled()

    # --- media -------------------------------------------------------------------------------------------------

    def _on_media(self, event: Event) -> None:
        match event:
            case DigitReceived(digit=digit, duration=duration):
                # After a restart digits are told again: those the process before has acted upon are known.
                if self._media.last_event > self.acted_upon:
                    self._pressed(digit, "event", duration / 1000)
            case PlaybackEnded(playback=playback):
                if playback == self._playback:
                    self._played.set()
            case LegSilent(silence=silence):
                if silence >= SILENCE_BEFORE_PROBE:
                    self._ask_whether_there()
            case LegEnded(reason=reason):
                self._open = False
                self._start(self._media_gave_up(reason))
            case SourceRejected(address=address):
                self._start(self._journal.note("media_source_rejected", address))
            case StatisticsReported(statistics=statistics):
                self._journal.measured(statistics)
            case _:
                pass

    def _pressed(self, digit: str, way: Way, duration: float) -> None:
        now = asyncio.get_running_loop().time()
        if not self._merger.accept(digit, way, now, duration):
            return
        if self._digits.qsize() < MAX_DIGITS_WAITING:
            self._digits.put_nowait((digit, self._media.last_event if way == "event" else 0))
            self._typed.set()

    def _ask_whether_there(self) -> None:
        with contextlib.suppress(LocalError):  # not established yet: the INVITE's own timers watch over it
            self._invite.probe()

    async def _media_gave_up(self, reason: str) -> None:
        await self._journal.note("media_ended", reason)
        await self.hang_up("media_lost")

    # --- inside ------------------------------------------------------------------------------------------------

    async def _do(self, command: Command) -> None:
        self._check()
        try:
            await self._media.perform(command)
        except MediaRefused as error:
            if error.code != "unknown_leg":
                raise
            self._open = False
            await self.hang_up("media_lost")
            raise LegGoneError from error
        self._check()

    async def _clips_there(self, items: Sequence[PlayItem]) -> None:
        self._check()
        await self._clips.ensure(items)
        self._check()

    async def _refuse(self, status: int, reason: str, detail: str) -> LegGoneError:
        await self._journal.note(reason, detail)
        await self.reject(status, reason)
        return LegGoneError(reason)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check(self) -> None:
        if self._gone:
            raise LegGoneError

    def _end(self, ending: Ending) -> None:
        if self._gone:
            return
        self._gone = True
        self._lost = ending.result == "failed"
        self._typed.set()
        self._played.set()
        self._on_gone(ending)
