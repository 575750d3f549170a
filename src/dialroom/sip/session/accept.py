"""Accepting an INVITE: 200, sent again until its ACK comes (RFC 3261 §13.3.1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.errors import LocalError
from dialroom.sip.session import bye, reinvite
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import Ended
from dialroom.sip.session.pending import SessionTimer
from dialroom.sip.session.state import Phase, Unacknowledged

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session


def accept(session: Session, sdp: bytes, now: float) -> None:
    """Answer the initial INVITE with 200."""
    if session.phase is Phase.ENDED:
        return
    if session.invite is None:
        raise LocalError("there is no INVITE to accept")
    if session.reliable.blocks_accept:
        # RFC 3262 §3: no 2xx while a reliable provisional response with a description is unacknowledged
        session.reliable.accept_with = sdp
        return
    transaction = session.invite
    session.invite = None
    session.phase = Phase.ACCEPTED
    if session.reliable.answered:
        send_2xx(session, transaction, None, offer=False, now=now)
    else:
        session.local_sdp = sdp
        send_2xx(session, transaction, sdp, offer=transaction.request.sdp is None, now=now)


def send_2xx(session: Session, transaction: ServerHandle, sdp: bytes | None, *, offer: bool, now: float) -> None:
    """Send a 200 to an INVITE (also a re-INVITE) and keep sending it until its ACK."""
    number = transaction.request.cseq.number
    response = session.respond(transaction, 200, now, sdp=sdp)
    unacknowledged = Unacknowledged(number, bytes(response), offer, transaction.reply_to)
    session.offered = offer
    await_ack(session, unacknowledged, now)


def await_ack(session: Session, unacknowledged: Unacknowledged, now: float) -> None:
    """Start the retransmission; also for a session taken up again after a restart."""

    times = session.context.times
    session.unacknowledged = unacknowledged
    session.resend_interval = times.t1
    session.start_timer(SessionTimer.RESEND_2XX, now + times.t1)
    session.start_timer(SessionTimer.NO_ACK, now + times.timeout)


def resend(session: Session, now: float) -> None:
    """The 2xx again: "an interval that starts at T1 seconds and doubles … until it reaches T2 seconds"."""

    if session.unacknowledged is None:
        return
    session.context.transmit(session.unacknowledged.data, session.unacknowledged.target)
    session.resend_interval = min(2 * session.resend_interval, session.context.times.t2)
    session.start_timer(SessionTimer.RESEND_2XX, now + session.resend_interval)


def give_up(session: Session, now: float) -> None:
    """ "If the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK, … the session SHOULD
    be terminated … with a BYE"."""
    session.unacknowledged = None
    if session.phase is not Phase.ENDED:
        session.finish(Ended("no ACK came for our answer", "timeout"), now)
    bye.send(session, None, now)


def acknowledged(session: Session, now: float) -> None:
    """The ACK is here: stop sending, and do what had to wait for it."""

    session.unacknowledged = None
    session.stop_timer(SessionTimer.RESEND_2XX, SessionTimer.NO_ACK)
    if session.phase is Phase.ENDED:
        bye.send(session, session.bye_after_ack, now)
        return
    if session.phase is Phase.ACCEPTED:
        session.phase = Phase.ESTABLISHED
    reinvite.next_in_turn(session, now)
