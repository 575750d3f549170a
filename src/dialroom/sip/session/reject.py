"""Refusing an INVITE (RFC 3261 §13.3.1.2, §13.3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dialroom.sip.errors import LocalError
from dialroom.sip.session.events import Ended
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session


def reject(session: Session, status: int, reason: str | None, headers: Sequence[tuple[str, str]], now: float) -> None:
    """Answer the initial INVITE with 300–699 and end the session."""
    if session.phase is Phase.ENDED:
        return
    if session.invite is None:
        raise LocalError("there is no INVITE to reject")
    if not 300 <= status <= 699:
        raise LocalError(f"{status} does not reject a call")
    transaction = session.invite
    session.invite = None
    session.respond(transaction, status, now, reason=reason, headers=headers)
    session.finish(Ended(f"rejected with {status}", "local"), now)
    session.context.release(session)
