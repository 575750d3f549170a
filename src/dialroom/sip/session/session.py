"""One INVITE-initiated session (RFC 3261 §13–15), as caller or as called party.

The user calls the methods below and reads events; the endpoint feeds requests, responses and time. A method that comes
too late, because the peer has hung up or cancelled meanwhile, does nothing: the event that says so is on its way. A
method out of turn raises LocalError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from dialroom.sip.auth import Credentials
from dialroom.sip.dialog import Dialog
from dialroom.sip.errors import LocalError, SipError
from dialroom.sip.facts import RequestFacts
from dialroom.sip.message import Request, Response, respond_to
from dialroom.sip.session import accept as accept_op
from dialroom.sip.session import ack as ack_op
from dialroom.sip.session import bye as bye_op
from dialroom.sip.session import cancel as cancel_op
from dialroom.sip.session import info as info_op
from dialroom.sip.session import invite as invite_op
from dialroom.sip.session import offer as offer_op
from dialroom.sip.session import options as options_op
from dialroom.sip.session import prack as prack_op
from dialroom.sip.session import provisional as provisional_op
from dialroom.sip.session import reinvite as reinvite_op
from dialroom.sip.session import reject as reject_op
from dialroom.sip.session import update as update_op
from dialroom.sip.session.context import ALLOW, ClientHandle, Context, ServerHandle
from dialroom.sip.session.events import SessionEvent
from dialroom.sip.session.pending import PendingOffer, SessionTimer
from dialroom.sip.session.state import Phase, SessionState, Unacknowledged

CSEQ_GAP = 100
Headers = Sequence[tuple[str, str]]


@dataclass(slots=True, eq=False, repr=False)
class Session:
    """A session. Attributes are for the operations beside this module; users read those documented in `__init__`."""

    context: Context
    call_id: str
    facts: RequestFacts
    phase: Phase
    local_tag: str
    caller: bool
    dialog: Dialog | None = None
    remote_sdp: bytes | None = None
    local_sdp: bytes | None = None
    credentials: Credentials | None = None
    invite: ServerHandle | None = None
    """The initial INVITE while it waits for our final response."""
    offer: PendingOffer | None = None
    offered: bool = False
    """An offer of ours waits for its answer."""
    unacknowledged: Unacknowledged | None = None
    resend_interval: float = 0.0
    bye_after_ack: str | None = None
    reliable: prack_op.Reliable = field(default_factory=prack_op.Reliable)
    outgoing: invite_op.OutgoingInvite | None = None
    reinviting: reinvite_op.OutgoingReinvite | None = None
    queued_reinvite: reinvite_op.QueuedReinvite | None = None
    serving: int = 0
    """Server transactions of this call that are remembered."""
    timers: dict[SessionTimer, float] = field(default_factory=dict)
    scheduled: float | None = None
    """Kept by the endpoint's schedule."""

    @classmethod
    def incoming(cls, context: Context, transaction: ServerHandle, facts: RequestFacts) -> Session:
        """A session for an INVITE just received. Raises SipError when it cannot found a dialog."""
        request = transaction.request
        tag = context.token()
        dialog = Dialog.of_request(request, local_tag=tag, source=transaction.source)
        session = cls(context, request.call_id, facts, Phase.INCOMING, tag, caller=False, dialog=dialog)
        session.invite = transaction
        session.remote_sdp = request.sdp
        context.bind(session, dialog.id)
        return session

    @classmethod
    def restored(cls, context: Context, state: SessionState, now: float) -> Session:
        """A session that goes on from a stored state. Raises LocalError if it was not answered yet or is over."""
        if state.phase not in (Phase.ACCEPTED, Phase.ESTABLISHED):
            raise LocalError(f"a session that is {state.phase.value} cannot be taken up again")
        # What was sent after the state was stored, say a probe, used numbers we do not know of; §12.2.2 accepts gaps.
        # The streams of the earlier process are gone; their numbers are others' now.
        flow = msgspec.structs.replace(state.dialog.flow, connection=None)
        dialog = msgspec.structs.replace(state.dialog, local_cseq=state.dialog.local_cseq + CSEQ_GAP, flow=flow)
        session = cls(
            context, dialog.call_id, state.facts, state.phase, dialog.local_tag, caller=state.caller, dialog=dialog
        )
        session.remote_sdp, session.local_sdp = state.remote_sdp, state.local_sdp
        context.bind(session, dialog.id)
        if state.unacknowledged is not None:
            target = msgspec.structs.replace(state.unacknowledged.target, connection=None)
            unacknowledged = msgspec.structs.replace(state.unacknowledged, target=target)
            session.offered = unacknowledged.offer
            accept_op.await_ack(session, unacknowledged, now)
        return session

    @property
    def state(self) -> SessionState:
        """What `restored` takes. Raises LocalError while there is no dialog."""
        if self.dialog is None:
            raise LocalError("a call that nobody answered has no dialog to store")
        return SessionState(
            phase=self.phase,
            dialog=self.dialog,
            facts=self.facts,
            remote_sdp=self.remote_sdp,
            local_sdp=self.local_sdp,
            unacknowledged=self.unacknowledged,
            caller=self.caller,
        )

    # What the user asks for

    def ring(self, status: int, sdp: bytes | None, now: float) -> None:
        """Answer the INVITE provisionally (101–199)."""
        provisional_op.ring(self, status, sdp, now)

    def accept(self, sdp: bytes, now: float) -> None:
        """Answer the INVITE with 200. `sdp` answers its offer, or is our offer if it had none."""
        accept_op.accept(self, sdp, now)

    def reject(self, status: int, reason: str | None, headers: Headers, now: float) -> None:
        """Refuse the INVITE (300–699)."""
        reject_op.reject(self, status, reason, headers, now)

    def bye(self, reason: str | None, now: float) -> None:
        """End the session, whatever state it is in. `reason` goes into a Reason header."""
        bye_op.bye(self, reason, now)

    def cancel(self, now: float) -> None:
        """Give up our INVITE."""
        cancel_op.cancel(self, None, now)

    def answer_offer(self, sdp: bytes, now: float) -> None:
        """Answer the `Offer` (or offer, if it had no description) that is pending."""
        offer_op.answer(self, sdp, now)

    def reject_offer(self, status: int, now: float) -> None:
        """Refuse the `Offer` that is pending; the session stays as it was."""
        offer_op.reject(self, status, now)

    def reinvite(self, sdp: bytes | None, now: float) -> None:
        """Offer a changed session (or, with None, ask the peer for an offer); waits its turn if INVITEs cross."""
        reinvite_op.reinvite(self, sdp, now)

    def update(self, sdp: bytes, now: float) -> None:
        """Offer a changed session by UPDATE (RFC 3311)."""
        update_op.update(self, sdp, now)

    def info(self, content_type: str, body: bytes, now: float) -> None:
        """Send an INFO."""
        info_op.info(self, content_type, body, now)

    def probe(self, now: float) -> None:
        """Ask by OPTIONS whether the peer still has this call."""
        options_op.probe(self, now)

    # What the endpoint feeds

    def receive(self, transaction: ServerHandle, now: float) -> None:
        """A request within the dialog. Raises SipError with the status to answer."""
        request = transaction.request
        if self.dialog is None:
            raise SipError("the call has no dialog", status=481, partial=request)
        if self.phase is Phase.ENDED:
            if request.method == "BYE":
                bye_op.receive_again(self, transaction, now)
                return
            raise SipError("the call is over", status=481, partial=request)
        dialog = self.dialog.receive(request, transaction.source)
        if dialog is None:
            raise SipError("CSeq is out of order", status=500, partial=request)
        self.dialog = dialog
        _HANDLERS[request.method](self, transaction, now)

    def receive_ack(self, request: Request, now: float) -> None:
        """An ACK within the dialog."""
        ack_op.receive(self, request, now)

    def receive_cancel(self, transaction: ServerHandle, cancel: Request, now: float) -> None:
        """A CANCEL for this INVITE of the peer's, already answered 200."""
        cancel_op.receive(self, transaction, cancel, now)

    @property
    def deadline(self) -> float | None:
        """When `handle_timeout` has something to do."""
        return min(self.timers.values()) if self.timers else None

    def handle_timeout(self, now: float) -> None:
        """Act on every timer that has run out by `now`."""
        due = [timer for timer, at in self.timers.items() if at <= now]
        for timer in due:
            if self.timers.pop(timer, None) is not None:
                _EXPIRED[timer](self, now)
        self.context.reschedule(self)

    # What the operations share

    def start_timer(self, timer: SessionTimer, at: float) -> None:
        """Set (or move) a timer."""
        self.timers[timer] = at
        self.context.reschedule(self)

    def stop_timer(self, *timers: SessionTimer) -> None:
        """Forget timers."""
        for timer in timers:
            self.timers.pop(timer, None)
        self.context.reschedule(self)

    def emit(self, event: SessionEvent) -> None:
        """Tell the user."""
        self.context.emit(self, event)

    def respond(
        self,
        transaction: ServerHandle,
        status: int,
        now: float,
        *,
        reason: str | None = None,
        sdp: bytes | None = None,
        headers: Headers = (),
    ) -> Response:
        """Answer a request of the peer's, with Contact where the method needs it, and return what was sent."""
        response = self.build_response(transaction, status, reason=reason, sdp=sdp, headers=headers)
        self.context.respond(transaction, response, now)
        return response

    def build_response(
        self,
        transaction: ServerHandle,
        status: int,
        *,
        reason: str | None = None,
        sdp: bytes | None = None,
        headers: Headers = (),
    ) -> Response:
        """A response within this session, not yet sent."""
        request = transaction.request
        response = respond_to(request, status, reason, to_tag=self.local_tag)
        if request.method in ("INVITE", "UPDATE", "OPTIONS") and 100 < status < 300:
            response.copy(request, ("record-route",) if request.method == "INVITE" else ())
            response.add("Contact", self.context.contact(transaction.source))
            response.add("Allow", ALLOW)
            response.add("Supported", "100rel")
        if status == 488:
            # §13.3.1.3: it "SHOULD include a Warning header field value explaining why the offer was rejected"
            response.add("Warning", '305 dialroom "Incompatible media format"')
        for name, value in headers:
            response.add(name, value)
        response.add("Server", self.context.user_agent)
        if sdp is not None:
            response.set_body("application/sdp", sdp)
        return response

    @property
    def invites(self) -> Iterator[ClientHandle]:
        """Our INVITEs, first and later, that may still be on their way."""
        if self.outgoing is not None and self.outgoing.handle is not None:
            yield self.outgoing.handle
        pending = self.reinviting.pending if self.reinviting is not None else None
        if pending is not None and pending.handle is not None:
            yield pending.handle

    def finish(self, event: SessionEvent, now: float) -> None:
        """The last event: whatever is pending is refused or dropped."""
        bye_op.refuse_pending(self, now)
        self.phase = Phase.ENDED
        self.offered = False
        self.unacknowledged = None
        self.queued_reinvite = None
        self.timers.clear()
        self.context.reschedule(self)
        self.emit(event)


_HANDLERS = {
    "INVITE": offer_op.receive_invite,
    "UPDATE": update_op.receive,
    "PRACK": prack_op.receive,
    "BYE": bye_op.receive,
    "INFO": info_op.receive,
    "OPTIONS": options_op.receive,
}
_EXPIRED = {
    SessionTimer.RESEND_2XX: accept_op.resend,
    SessionTimer.NO_ACK: accept_op.give_up,
    SessionTimer.RESEND_PROVISIONAL: prack_op.resend,
    SessionTimer.NO_PRACK: prack_op.give_up,
    SessionTimer.RETRY_REINVITE: reinvite_op.retry,
    SessionTimer.CANCEL_UNANSWERED: cancel_op.give_up,
}
