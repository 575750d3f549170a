"""INFO (RFC 6086, legacy use): digits and the like within a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.dtmf_info import DTMF_TYPES
from dialroom.sip.errors import LocalError
from dialroom.sip.session import requests
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import Info
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.address import Address
    from dialroom.sip.message import Response
    from dialroom.sip.session.session import Session


def receive(session: Session, transaction: ServerHandle, now: float) -> None:
    """An INFO; one without a body is a sign of life.

    RFC 6086 §4.2.2: one "associated with an Info Package that the UA has not indicated willingness to receive" is 469.
    Digits are taken all the same.
    """
    request = transaction.request
    if request.get("info-package") is not None and request.content_type not in DTMF_TYPES:
        session.respond(transaction, 469, now, headers=(("Recv-Info", ""),))
        return
    session.respond(transaction, 200, now)
    if request.body:
        session.emit(Info(request.get("content-type") or "", request.body))


def info(session: Session, content_type: str, body: bytes, now: float) -> None:
    """Send an INFO; a peer that refuses it stays in the call."""
    if session.phase is Phase.ENDED:
        return
    if session.phase not in (Phase.ACCEPTED, Phase.ESTABLISHED):
        raise LocalError("the call has not been answered")

    def final(_response: Response | None, status: int, _source: Address, at: float) -> None:
        requests.call_lost(session, status, at)

    requests.send(session, "INFO", now, final, content_type=content_type, body=body)
