"""CANCEL, sent and received (RFC 3261 §9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.errors import LocalError
from dialroom.sip.message import Request
from dialroom.sip.session import bye, reinvite
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import Cancelled, Ended
from dialroom.sip.session.pending import SessionTimer
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session


def cancel(session: Session, reason: str | None, now: float) -> None:
    """Give up our INVITE. A 2xx that crosses the CANCEL is acknowledged and hung up on."""
    if session.phase is Phase.ENDED:
        return
    outgoing = session.outgoing
    if session.phase is not Phase.CALLING or outgoing is None:
        raise LocalError("there is no INVITE of ours to cancel")
    session.finish(Ended(reason or "we gave up calling", "local"), now)
    outgoing.cancelled = True
    if outgoing.provisional:
        send(session, now)
    # "If no provisional response has been received, the CANCEL request MUST NOT be sent; rather, the client MUST
    # wait for the arrival of a provisional response": invite.receive sends it then.


def send(session: Session, now: float) -> None:
    """Send the CANCEL that was asked for."""

    outgoing = session.outgoing
    if outgoing is None or outgoing.handle is None or outgoing.cancel_sent:
        return
    outgoing.cancel_sent = True
    session.context.cancel(outgoing.handle, None, now)
    session.start_timer(SessionTimer.CANCEL_UNANSWERED, now + session.context.times.timeout)


def give_up(session: Session, _now: float) -> None:
    """ "If there is no final response for the original request in 64*T1 seconds, … the client SHOULD consider the
    original transaction cancelled" (§9.1)."""
    session.context.release(session)


def receive(session: Session, transaction: ServerHandle, request: Request, now: float) -> None:
    """The caller gave up: 487 for the INVITE unless it has its final response."""
    if transaction.answered:
        return
    if transaction is session.invite:
        session.invite = None
        session.respond(transaction, 487, now)
        session.finish(Cancelled(bye.sip_reason(request.get("reason"))), now)
        session.context.release(session)
    elif session.offer is not None and session.offer.transaction is transaction:
        session.offer = None
        session.respond(transaction, 487, now)
        reinvite.next_in_turn(session, now)
