"""Reliable provisional responses and PRACK (RFC 3262), as the called party and as the caller."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dialroom.sip.errors import SipError
from dialroom.sip.headers.cseq import parse_number, parse_rack
from dialroom.sip.message import Response
from dialroom.sip.session import accept, reject
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import Offer, RemoteAnswer
from dialroom.sip.session.pending import PendingOffer, SessionTimer

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session

_FIRST_RSEQ = 1
_MAX_WAITING = 16


@dataclass(slots=True)
class Reliable:
    """The called party's reliable responses: one on its way at a time, the rest wait (§3)."""

    rseq: int = _FIRST_RSEQ - 1
    data: bytes | None = None
    with_sdp: bool = False
    interval: float = 0.0
    waiting: deque[tuple[int, bytes | None]] = field(default_factory=deque)
    offered: bool = False
    """A reliable response carried our offer; its PRACK brings the answer."""
    answered: bool = False
    """Offer and answer were exchanged before the 2xx, which then carries no description."""
    accept_with: bytes | None = None

    @property
    def blocks_accept(self) -> bool:
        """Whether a 2xx has to wait for a PRACK."""
        return self.data is not None and self.with_sdp


def send_reliably(session: Session, status: int, sdp: bytes | None, now: float) -> None:
    """Send a provisional response with RSeq, or queue it behind one not yet acknowledged."""

    reliable = session.reliable
    if session.invite is None:
        return
    if reliable.data is not None:
        if len(reliable.waiting) < _MAX_WAITING:
            reliable.waiting.append((status, sdp))
        return
    reliable.rseq += 1
    headers = (("Require", "100rel"), ("RSeq", str(reliable.rseq)))
    response = session.build_response(session.invite, status, sdp=sdp, headers=headers)
    session.context.respond(session.invite, response, now)
    reliable.data, reliable.with_sdp = bytes(response), sdp is not None
    if sdp is not None:
        session.local_sdp = sdp
        reliable.offered = session.invite.request.sdp is None and not reliable.answered
        reliable.answered = reliable.answered or not reliable.offered
    times = session.context.times
    reliable.interval = times.t1
    session.start_timer(SessionTimer.RESEND_PROVISIONAL, now + times.t1)
    session.start_timer(SessionTimer.NO_PRACK, now + times.timeout)


def resend(session: Session, now: float) -> None:
    """The response again: at T1, doubling (§3)."""

    reliable = session.reliable
    if reliable.data is None or session.invite is None:
        return
    session.context.transmit(reliable.data, session.invite.reply_to)
    reliable.interval *= 2
    session.start_timer(SessionTimer.RESEND_PROVISIONAL, now + reliable.interval)


def give_up(session: Session, now: float) -> None:
    """ "If a reliable provisional response is retransmitted for 64*T1 seconds without reception of a corresponding
    PRACK, the UAS SHOULD reject the original request with a 5xx response"."""
    reject.reject(session, 504, "no PRACK came", (), now)


def receive(session: Session, transaction: ServerHandle, now: float) -> None:
    """A PRACK. Raises SipError 481 when it acknowledges nothing."""

    request = transaction.request
    reliable = session.reliable
    rack = parse_rack(request.get("rack") or "")
    invite = session.invite
    if (
        invite is None
        or reliable.data is None
        or rack.rseq != reliable.rseq
        or rack.cseq != (invite.request.cseq.number, "INVITE")
    ):
        raise SipError("PRACK matches no reliable response", status=481, partial=request)
    reliable.data = None
    session.stop_timer(SessionTimer.RESEND_PROVISIONAL, SessionTimer.NO_PRACK)
    sdp = request.sdp
    if sdp is not None and not reliable.offered:
        event = Offer(sdp, "PRACK")
        session.offer = PendingOffer("PRACK", sdp, transaction, event)
        session.emit(event)
    else:
        session.respond(transaction, 200, now)
        if sdp is not None:
            reliable.offered, reliable.answered = False, True
            session.remote_sdp = sdp
            session.emit(RemoteAnswer(sdp))
    _go_on(session, now)


def _go_on(session: Session, now: float) -> None:
    """What waited for the PRACK: the next provisional response, or the 2xx."""
    reliable = session.reliable
    if reliable.accept_with is not None:
        sdp, reliable.accept_with = reliable.accept_with, None
        reliable.waiting.clear()
        accept.accept(session, sdp, now)
    elif reliable.waiting:
        status, body = reliable.waiting.popleft()
        send_reliably(session, status, body, now)


def rseq_of(response: Response) -> int | None:
    """RSeq of a reliable provisional response, None for an unreliable one. Raises SipError."""
    if "100rel" not in response.tokens("require"):
        return None
    return parse_number(response.get("rseq") or "", "RSeq")
