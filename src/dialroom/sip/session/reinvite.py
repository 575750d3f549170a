"""Re-INVITEs of ours, with glare (RFC 3261 §14.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dialroom.sip.address import Address
from dialroom.sip.message import Response, reason_phrase
from dialroom.sip.session import ack, requests
from dialroom.sip.session.events import Offer, OfferRejected, RemoteAnswer
from dialroom.sip.session.pending import PendingOffer, SessionTimer
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session


@dataclass(slots=True)
class QueuedReinvite:
    """A re-INVITE that waits for its turn. `sdp` None asks the peer for an offer."""

    sdp: bytes | None


@dataclass(slots=True)
class OutgoingReinvite:
    """A re-INVITE on its way, and its ACK once there is one."""

    sdp: bytes | None
    pending: requests.DialogRequest | None = None
    ack: ack.SentAck | None = None
    answered: bool = False


def reinvite(session: Session, sdp: bytes | None, now: float) -> None:
    """Send a re-INVITE now, or as soon as nothing is in the way. A newer one replaces one that waits."""
    if session.phase is Phase.ENDED:
        return
    session.queued_reinvite = QueuedReinvite(sdp)
    next_in_turn(session, now)


def next_in_turn(session: Session, now: float) -> None:
    """Send the re-INVITE that waits, if nothing is in the way any more.

    §14.1: not "while another INVITE transaction is in progress in either direction", nor before the last ACK.
    """

    queued = session.queued_reinvite
    busy = session.reinviting is not None or session.offer is not None or session.offered
    waiting = session.unacknowledged is not None or SessionTimer.RETRY_REINVITE in session.timers
    if queued is None or busy or waiting or session.phase is not Phase.ESTABLISHED:
        return
    session.queued_reinvite = None
    outgoing = OutgoingReinvite(queued.sdp)
    session.reinviting = outgoing
    session.offered = queued.sdp is not None
    outgoing.pending = requests.send(
        session,
        "INVITE",
        now,
        lambda response, status, source, at: _receive(session, outgoing, response, status, source, at),
        content_type="application/sdp",
        body=queued.sdp or b"",
    )


def _receive(
    session: Session, outgoing: OutgoingReinvite, response: Response | None, status: int, source: Address, now: float
) -> None:
    if response is not None and 200 <= status < 300:
        _accepted(session, outgoing, response, source, now)
        return
    if session.reinviting is not outgoing:
        return
    session.reinviting = None
    session.offered = False
    if status == 491 and session.phase is not Phase.ENDED:
        _retry_later(session, outgoing.sdp, now)
    elif not requests.call_lost(session, status, now) and session.phase is not Phase.ENDED:
        session.emit(OfferRejected(status, response.reason if response is not None else reason_phrase(status)))
        next_in_turn(session, now)


def _accepted(session: Session, outgoing: OutgoingReinvite, response: Response, source: Address, now: float) -> None:
    if outgoing.answered:
        if outgoing.ack is not None:
            session.context.transmit(*outgoing.ack)
        return
    outgoing.answered = True
    requests.refresh_target(session, response, source)
    if outgoing.sdp is None and response.sdp is not None and session.phase is not Phase.ENDED:
        event = Offer(response.sdp, "INVITE")
        session.offer = PendingOffer("INVITE", response.sdp, event=event)
        session.emit(event)
        return
    acknowledge(session, None)
    session.offered = False
    session.reinviting = None
    if session.phase is Phase.ENDED:
        return
    if response.sdp is not None:
        session.local_sdp, session.remote_sdp = outgoing.sdp, response.sdp
        session.emit(RemoteAnswer(response.sdp))
    else:
        session.emit(OfferRejected(488, "the 2xx has no session description"))
    next_in_turn(session, now)


def acknowledge(session: Session, sdp: bytes | None) -> None:
    """Send the ACK of the re-INVITE that was answered."""
    outgoing = session.reinviting
    if outgoing is None or outgoing.pending is None or outgoing.pending.request is None or session.dialog is None:
        return
    outgoing.ack = ack.send(session.context, session.dialog, outgoing.pending.request, sdp)


def _retry_later(session: Session, sdp: bytes | None, now: float) -> None:
    """§14.1: after 491 the owner of the Call-ID waits 2.1–4 s, the other 0–2 s, in units of 10 ms."""

    dice = int(session.context.token()[:8], 16)
    delay = 2.1 + (dice % 191) / 100 if session.caller else (dice % 201) / 100
    if session.queued_reinvite is None:
        session.queued_reinvite = QueuedReinvite(sdp)
    session.start_timer(SessionTimer.RETRY_REINVITE, now + delay)


def retry(session: Session, now: float) -> None:
    """The wait after 491 is over."""
    next_in_turn(session, now)
