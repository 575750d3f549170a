"""UPDATE (RFC 3311): an offer without a three-way handshake, or just a sign of life."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.errors import LocalError
from dialroom.sip.message import reason_phrase
from dialroom.sip.session import offer, reinvite, requests
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import OfferRejected, RemoteAnswer
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.address import Address
    from dialroom.sip.message import Response
    from dialroom.sip.session.session import Session


def receive(session: Session, transaction: ServerHandle, now: float) -> None:
    """An UPDATE of the peer's."""
    if transaction.request.sdp is None:
        session.respond(transaction, 200, now)
    elif offer.may_offer(session, transaction, now):
        offer.take(session, transaction, "UPDATE")


def update(session: Session, sdp: bytes, now: float) -> None:
    """Offer a changed session. Raises LocalError while another offer is pending."""
    if session.phase is Phase.ENDED:
        return
    if session.offered or session.offer is not None or session.phase is not Phase.ESTABLISHED:
        raise LocalError("another offer is pending")
    session.offered = True

    def final(response: Response | None, status: int, source: Address, at: float) -> None:
        session.offered = False
        if requests.call_lost(session, status, at) or session.phase is Phase.ENDED:
            return
        if response is not None and status < 300 and response.sdp is not None:
            requests.refresh_target(session, response, source)
            session.local_sdp, session.remote_sdp = sdp, response.sdp
            session.emit(RemoteAnswer(response.sdp))
        else:
            session.emit(OfferRejected(status, reason_phrase(status)))
        reinvite.next_in_turn(session, at)

    requests.send(session, "UPDATE", now, final, content_type="application/sdp", body=sdp)
