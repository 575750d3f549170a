"""Offers the peer makes within the session, and our answers (RFC 3261 §14.2, RFC 3264)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.session import accept as accept_op
from dialroom.sip.session import bye, invite, reinvite
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import Offer
from dialroom.sip.session.pending import PendingOffer
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session


def receive_invite(session: Session, transaction: ServerHandle, now: float) -> None:
    """A re-INVITE."""
    if not may_offer(session, transaction, now):
        return
    take(session, transaction, "INVITE")
    if session.unacknowledged is not None:
        # The peer can only have sent this after our 2xx: its ACK was lost.
        accept_op.acknowledged(session, now)


def may_offer(session: Session, transaction: ServerHandle, now: float) -> bool:
    """Whether the peer may offer now; if not, it has been told why."""
    if session.invite is not None or session.offer is not None:
        # §14.2: "a second INVITE before it sends the final response to a first INVITE … MUST return a 500 … and MUST
        # include a Retry-After header field with a randomly chosen value of between 0 and 10 seconds"
        delay = int(session.context.token()[:4], 16) % 11
        session.respond(transaction, 500, now, headers=(("Retry-After", str(delay)),))
        return False
    if session.offered or session.reinviting is not None:
        # §14.2: "an INVITE on a dialog while an INVITE it had sent on that dialog is in progress MUST return a 491"
        session.respond(transaction, 491, now)
        return False
    return True


def take(session: Session, transaction: ServerHandle, method: str) -> None:
    """Hand the offer to the user."""
    event = Offer(transaction.request.sdp, method)
    session.offer = PendingOffer(method, event.sdp, transaction, event)
    session.emit(event)


def answer(session: Session, sdp: bytes, now: float) -> None:
    """Send our answer (or our offer, if we were asked for one) to what is pending."""
    pending = session.offer
    if pending is None or session.phase is Phase.ENDED:
        return
    session.offer = None
    session.local_sdp = sdp
    if pending.sdp is not None:
        session.remote_sdp = pending.sdp
    if pending.transaction is None:
        invite.acknowledge_with(session, sdp, now)
    elif pending.method == "INVITE":
        accept_op.send_2xx(session, pending.transaction, sdp, offer=pending.sdp is None, now=now)
    else:
        session.respond(pending.transaction, 200, now, sdp=sdp)
        reinvite.next_in_turn(session, now)


def reject(session: Session, status: int, now: float) -> None:
    """Refuse what is pending. Where the answer belongs into an ACK there is no refusing: the call is ended."""
    pending = session.offer
    if pending is None or session.phase is Phase.ENDED:
        return
    session.offer = None
    if pending.transaction is None:
        invite.acknowledge_with(session, None, now)
        bye.bye(session, "no common media", now)
        return
    session.respond(pending.transaction, status, now)
    reinvite.next_in_turn(session, now)
