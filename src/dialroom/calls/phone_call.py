"""One running call: its leg, its conversation, and how both come to an end together."""

from __future__ import annotations

import asyncio

import structlog

from dialroom.calls.journal import CallJournal
from dialroom.calls.negotiation import MediaSide
from dialroom.calls.resume import Resume, encode_resume
from dialroom.calls.sip_leg import LegParts, SipLeg
from dialroom.core.ending import Ending
from dialroom.core.errors import StoreUnavailable
from dialroom.flows.conversation import Conversation
from dialroom.flows.dial_in import dial_in
from dialroom.flows.leg import LegGoneError
from dialroom.flows.stages import Stage
from dialroom.media.plane import MediaError
from dialroom.net.sip_server import InviteSession
from dialroom.sip.errors import LocalError
from dialroom.sip.session.state import Phase

_log = structlog.get_logger("dialroom.calls")
SETTLE_SECONDS = 2.0
SETTLE_TRIES = 1800


class PhoneCall:
    """Runs the conversation and the signalling side by side until the call is over; then its record is closed."""

    conversation: Conversation

    def __init__(
        self,
        leg_id: str,
        invite: InviteSession,
        side: MediaSide,
        journal: CallJournal,
        parts: LegParts,
        straight_into: str | None,
    ) -> None:
        self.id = journal.record.id
        self.journal = journal
        self.leg = SipLeg(leg_id, invite, side, journal, parts, self._on_gone)
        self._invite = invite
        self._side = side
        self._media = parts.media
        self._straight_into = straight_into
        self._over = asyncio.Event()
        self._ending: Ending | None = None
        self._flow: asyncio.Task[str] | None = None
        journal.snapshot = self._resume

    @property
    def answered(self) -> bool:
        """Whether there is sound to lose."""
        return self.journal.record.answered_at is not None

    async def run(self) -> None:
        """Returns when the call is over and its record says so; or when it was handed over."""
        signalling = asyncio.create_task(self._follow())
        self._flow = asyncio.create_task(self._converse())
        try:
            await self._over.wait()
        finally:
            self._flow.cancel()
            signalling.cancel()
            await asyncio.wait({self._flow, signalling})
            statistics = await self.leg.close()
            if self._ending is not None:
                await self.journal.ended(self._ending, statistics)
        await self._settle()

    def hand_over(self) -> None:
        """This process stops; the call goes on in the next one, from what is stored."""
        self.leg.handed_over = True
        self._over.set()

    async def _settle(self) -> None:
        """While the database is away a call can end without anybody being told: they are, when it is back. So is a leg
        closed that could not be while the media process was out of reach."""
        for _ in range(SETTLE_TRIES):
            await self.leg.close()
            if await self._has_left() and await self.journal.flush() and self.leg.closed:
                return
            await self.conversation.clock.sleep(SETTLE_SECONDS)
        _log.error("call.never_settled", call=self.id)

    async def _has_left(self) -> bool:
        seat = self.journal.record.participant
        if seat is None or self.leg.handed_over:
            return True
        try:
            await self.conversation.meetings.leave(seat, "lost" if self.leg.lost else "left")
        except StoreUnavailable:
            return False
        return True

    async def _follow(self) -> None:
        try:
            await self.leg.run()
        except Exception:
            _log.exception("call.signalling_failed", call=self.id)
            await self.leg.hang_up("internal_error")

    async def _converse(self) -> str:
        try:
            return await dial_in(self.conversation, self.journal.stage, self._straight_into)
        except LegGoneError:
            return ""
        except MediaError as error:
            _log.warning("call.media_failed", call=self.id, error=str(error))
            await self.leg.hang_up("media_lost")
        except Exception:
            _log.exception("call.flow_failed", call=self.id)
            await self._apologise()
        return ""

    async def _apologise(self) -> None:
        try:
            if self.answered:
                await self.leg.play(self.conversation.voice.say("error_hang_up"))
        except (LegGoneError, MediaError):
            pass
        finally:
            await self.leg.hang_up("internal_error")

    def _on_gone(self, ending: Ending) -> None:
        self._ending = ending
        self._over.set()

    def _resume(self, stage: Stage) -> bytes | None:
        try:
            state = self._invite.state
        except LocalError:
            return None
        if state.phase not in (Phase.ACCEPTED, Phase.ESTABLISHED):
            return None
        return encode_resume(
            Resume(
                sip=state,
                stage=stage,
                straight_into=self._straight_into,
                instance=self._media.instance,
                last_event=self.leg.acted_upon,
                side=self._side.state,
            )
        )
