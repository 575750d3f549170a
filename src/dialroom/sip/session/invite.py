"""Calling: an INVITE of ours, its provisional responses, forks, challenges and final response (RFC 3261 §13.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from dialroom.sip.address import Address
from dialroom.sip.dialog import Dialog
from dialroom.sip.errors import SipError
from dialroom.sip.message import Request, Response, reason_phrase
from dialroom.sip.session import ack, cancel, prack, reinvite, requests
from dialroom.sip.session.context import ALLOW, ClientHandle
from dialroom.sip.session.events import Answered, Failed, Ringing
from dialroom.sip.session.pending import PendingOffer
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session

_MAX_FORKS = 16


@dataclass(slots=True)
class OutgoingInvite:
    """Our initial INVITE while it is on its way, and for as long as its 2xx may come again."""

    target: str
    hop: Address
    from_: str
    sdp: bytes | None
    headers: Sequence[tuple[str, str]]
    cseq: int = 0
    request: Request | None = None
    handle: ClientHandle | None = None
    challenged: bool = False
    provisional: bool = False
    cancelled: bool = False
    cancel_sent: bool = False
    early: dict[str, Dialog] = field(default_factory=dict)
    rseq: dict[str, int] = field(default_factory=dict)
    early_sdp: bytes | None = None
    acks: dict[str, ack.SentAck | None] = field(default_factory=dict)


def start(session: Session, now: float, authorization: tuple[str, str] | None = None) -> None:
    """Send the INVITE (again, with credentials): same Call-ID and From tag, next CSeq."""
    outgoing = session.outgoing
    if outgoing is None:
        return
    context = session.context
    outgoing.cseq += 1
    request = Request("INVITE", outgoing.target)
    request.add("Max-Forwards", "70")
    request.add("From", f"{outgoing.from_};tag={session.local_tag}")
    request.add("To", f"<{outgoing.target}>")
    request.add("Call-ID", session.call_id)
    request.add("CSeq", f"{outgoing.cseq} INVITE")
    request.add("Contact", context.contact(outgoing.hop))
    request.add("Allow", ALLOW)
    request.add("Supported", "100rel")
    for name, value in (*outgoing.headers, ("User-Agent", context.user_agent)):
        request.add(name, value)
    if authorization is not None:
        request.add(*authorization)
    if outgoing.sdp is not None:
        request.set_body("application/sdp", outgoing.sdp)
    outgoing.request = request
    session.local_sdp = outgoing.sdp
    outgoing.handle = context.request(
        request,
        outgoing.hop,
        lambda response, source, at: _receive(session, outgoing, response, source, at),
        lambda reason, at: _fail(session, reason, at),
        now,
    )


def _fail(session: Session, reason: str, now: float) -> None:
    if session.phase is Phase.CALLING:
        status = 408 if reason == "timeout" else 503
        text = "no answer from there" if reason == "timeout" else "it cannot be reached"
        session.finish(Failed(status, text), now)
    if session.dialog is None:
        session.context.release(session)


def _receive(session: Session, outgoing: OutgoingInvite, response: Response, source: Address, now: float) -> None:
    if response.status < 200:
        _provisional(session, outgoing, response, source, now)
    elif response.status < 300:
        _success(session, outgoing, response, source, now)
    else:
        _refused(session, outgoing, response, now)


def _provisional(session: Session, outgoing: OutgoingInvite, response: Response, source: Address, now: float) -> None:
    outgoing.provisional = True
    if outgoing.cancelled:
        cancel.send(session, now)
        return
    tag = response.to.tag
    if response.status == 100 or session.phase is not Phase.CALLING:
        return
    if tag is not None and outgoing.request is not None and response.contact is not None:
        if tag not in outgoing.early and len(outgoing.early) < _MAX_FORKS:
            outgoing.early[tag] = Dialog.of_response(outgoing.request, response, source=source)
        if not _acknowledge_provisional(session, outgoing, tag, response, now):
            return
    outgoing.early_sdp = response.sdp or outgoing.early_sdp
    session.emit(Ringing(response.status, response.sdp))


def _acknowledge_provisional(
    session: Session, outgoing: OutgoingInvite, tag: str, response: Response, now: float
) -> bool:
    """PRACK a reliable response (RFC 3262 §4). False for one seen before or out of order, which is to be dropped."""
    rseq = prack.rseq_of(response)
    dialog = outgoing.early.get(tag)
    if rseq is None or dialog is None:
        return True
    last = outgoing.rseq.get(tag)
    if last is not None and rseq != last + 1:
        return False
    outgoing.rseq[tag] = rseq
    dialog, request = dialog.next_request("PRACK")
    outgoing.early[tag] = dialog
    request.add("RAck", f"{rseq} {outgoing.cseq} INVITE")
    request.add("User-Agent", session.context.user_agent)
    target = session.context.next_hop(dialog)
    session.context.request(request, target, lambda *_: None, lambda *_: None, now)
    return True


def _success(session: Session, outgoing: OutgoingInvite, response: Response, source: Address, now: float) -> None:
    tag = response.to.tag or ""
    if tag in outgoing.acks:
        sent = outgoing.acks[tag]
        if sent is not None:
            session.context.transmit(*sent)
        return
    if outgoing.request is None or len(outgoing.acks) >= _MAX_FORKS:
        return
    try:
        dialog = Dialog.of_response(outgoing.request, response, source=source)
    except SipError:
        # Nothing can be sent in such a dialog, not even its ACK.
        if session.phase is Phase.CALLING:
            session.finish(Failed(500, "its answer cannot be understood"), now)
        if session.dialog is None:
            session.context.release(session)
        return
    early = outgoing.early.get(tag)
    if early is not None:
        dialog = msgspec.structs.replace(dialog, local_cseq=max(early.local_cseq, dialog.local_cseq))
    if session.phase is not Phase.CALLING:
        # A fork answered second, or a 2xx crossed our CANCEL: §13.2.2.4 acknowledge, then hang up.
        outgoing.acks[tag] = ack.send(session.context, dialog, outgoing.request, None)
        _hang_up(session, dialog, now)
        return
    session.dialog = dialog
    session.phase = Phase.ESTABLISHED
    session.context.bind(session, dialog.id)
    sdp = response.sdp or outgoing.early_sdp
    session.remote_sdp = sdp
    if outgoing.sdp is None and sdp is not None:
        outgoing.acks[tag] = None
        session.offer = PendingOffer("INVITE", sdp)
    else:
        outgoing.acks[tag] = ack.send(session.context, dialog, outgoing.request, None)
    session.emit(Answered(sdp))


def _hang_up(session: Session, dialog: Dialog, now: float) -> None:
    _, request = dialog.next_request("BYE")
    request.add("User-Agent", session.context.user_agent)
    session.context.request(request, session.context.next_hop(dialog), lambda *_: None, lambda *_: None, now)
    if session.dialog is None:
        session.context.release(session)


def _refused(session: Session, outgoing: OutgoingInvite, response: Response, now: float) -> None:
    if session.phase is not Phase.CALLING:
        if session.dialog is None:
            session.timers.clear()
            session.context.release(session)
        return
    if response.status in (401, 407) and not outgoing.challenged and outgoing.request is not None:
        authorization = requests.authorize(session, outgoing.request, response)
        if authorization is not None:
            outgoing.challenged = True
            outgoing.provisional = False
            start(session, now, authorization)
            return
    session.finish(Failed(response.status, response.reason or reason_phrase(response.status)), now)
    session.context.release(session)


def acknowledge_with(session: Session, sdp: bytes | None, now: float) -> None:
    """Send the ACK that carries our answer to an offer in a 2xx, of the first INVITE or of a re-INVITE."""
    if session.dialog is None:
        return
    if session.reinviting is not None:
        reinvite.acknowledge(session, sdp)
        session.reinviting = None
        reinvite.next_in_turn(session, now)
        return
    outgoing = session.outgoing
    if outgoing is not None and outgoing.request is not None:
        tag = session.dialog.remote_tag
        outgoing.acks[tag] = ack.send(session.context, session.dialog, outgoing.request, sdp)


def check_final(response: Response) -> None:
    """Read what `_receive` will need of a response. Raises SipError."""
    if response.status < 300:
        _ = response.contact, response.values("record-route"), response.tokens("require")
        if response.status >= 200 and response.to.tag is None:
            raise SipError("a 2xx without a To tag founds no dialog")
