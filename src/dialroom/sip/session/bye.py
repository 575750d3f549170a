"""Ending a session (RFC 3261 §15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.session import accept, cancel, reject, requests
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import Cancelled, Ended
from dialroom.sip.session.state import Phase
from dialroom.sip.text import clean, quote

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session


def bye(session: Session, reason: str | None, now: float) -> None:
    """End the session from our side: BYE, or CANCEL, or a refusal, as its phase demands."""
    if session.phase is Phase.ENDED:
        return
    if session.phase is Phase.INCOMING:
        reject.reject(session, 480, reason, (), now)
        return
    if session.phase is Phase.CALLING:
        cancel.cancel(session, reason, now)
        return
    unacknowledged = session.unacknowledged if session.phase is Phase.ACCEPTED else None
    session.finish(Ended(reason or "we hung up", "local"), now)
    if unacknowledged is None:
        send(session, reason, now)
    else:
        # "the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx response
        # or until the server transaction times out"
        session.bye_after_ack = reason
        accept.await_ack(session, unacknowledged, now)


def send(session: Session, reason: str | None, now: float) -> None:
    """Send the BYE; the dialog is forgotten when it is answered or its time is up."""
    headers = (("Reason", f"SIP;cause=200;text={quote(reason)}"),) if reason else ()
    requests.send(session, "BYE", now, lambda _response, _status, _source, _now: _done(session), headers=headers)


def _done(session: Session) -> None:
    session.context.release(session)


def receive(session: Session, transaction: ServerHandle, now: float) -> None:
    """The peer ends the session: 200, and 487 for what it still waits for (§15.1.2).

    "The caller's UA MAY send a BYE for either confirmed or early dialogs" (§15): before our answer it gives up.
    """
    reason = sip_reason(transaction.request.get("reason"))
    session.respond(transaction, 200, now)
    if session.invite is not None:
        invite, session.invite = session.invite, None
        session.respond(invite, 487, now)
        session.finish(Cancelled(reason), now)
    else:
        session.finish(Ended("the peer hung up", "remote", reason), now)
    session.context.release(session)


def receive_again(session: Session, transaction: ServerHandle, now: float) -> None:
    """A BYE in a session that is over: ours crossed it, or waits for an ACK that will not come any more."""
    session.respond(transaction, 200, now)
    if session.unacknowledged is not None:
        session.unacknowledged = None
        session.timers.clear()
        session.context.release(session)


def refuse_pending(session: Session, now: float) -> None:
    """Answer 487 to an offer of the peer's that nobody will answer any more."""
    offer = session.offer
    if offer is not None and offer.transaction is not None and not offer.transaction.answered:
        session.respond(offer.transaction, 487, now)
    session.offer = None


def sip_reason(text: str | None) -> str | None:
    """A Reason header fit for people and logs."""
    return clean(text) if text else None
