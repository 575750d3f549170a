"""Provisional responses to an INVITE (RFC 3261 §13.3.1.1), reliable if the caller requires it (RFC 3262 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.errors import LocalError
from dialroom.sip.session import prack
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session


def ring(session: Session, status: int, sdp: bytes | None, now: float) -> None:
    """Send 101–199, with early media if `sdp` is given."""
    if session.phase is Phase.ENDED:
        return
    if session.invite is None:
        raise LocalError("there is no INVITE to answer")
    if not 101 <= status <= 199:
        raise LocalError(f"{status} is not provisional")
    if "100rel" in session.invite.request.tokens("require"):
        prack.send_reliably(session, status, sdp, now)
        return
    if sdp is not None:
        session.local_sdp = sdp
    session.respond(session.invite, status, now, sdp=sdp)
