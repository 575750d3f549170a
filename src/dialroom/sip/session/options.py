"""OPTIONS within the dialog (RFC 3261 §11): is the other end still there?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.errors import LocalError
from dialroom.sip.session import requests
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import ProbeAnswered, ProbeFailed
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.address import Address
    from dialroom.sip.message import Response
    from dialroom.sip.session.session import Session

_GONE = frozenset({404, 408, 410, 481})
"""Answers that say nobody is there (RFC 5057 §5.1). Any other, also a refusal, is a sign of life."""


def receive(session: Session, transaction: ServerHandle, now: float) -> None:
    """The peer probes us."""
    session.respond(transaction, 200, now, headers=(("Accept", "application/sdp"),))


def probe(session: Session, now: float) -> None:
    """Probe the peer; the outcome is an event, what to make of it is the user's."""
    if session.phase is Phase.ENDED:
        return
    if session.phase not in (Phase.ACCEPTED, Phase.ESTABLISHED):
        raise LocalError("the call has not been answered")

    def final(response: Response | None, status: int, _source: Address, _now: float) -> None:
        if session.phase is Phase.ENDED:
            return
        session.emit(ProbeFailed(status) if response is None or status in _GONE else ProbeAnswered())

    requests.send(session, "OPTIONS", now, final, headers=(("Accept", "application/sdp"),))
