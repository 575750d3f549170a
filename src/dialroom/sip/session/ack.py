"""ACK for a 2xx, received and sent (RFC 3261 §13.2.2.4, §13.3.1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialroom.sip.address import Address
from dialroom.sip.dialog import Dialog
from dialroom.sip.message import Request
from dialroom.sip.session import accept
from dialroom.sip.session.context import Context
from dialroom.sip.session.events import Acknowledged, RemoteAnswer
from dialroom.sip.session.state import Phase

if TYPE_CHECKING:
    from dialroom.sip.session.session import Session

SentAck = tuple[bytes, Address]
"""An ACK as sent, to be sent again whenever its 2xx comes again."""


def receive(session: Session, request: Request, now: float) -> None:
    """An ACK in the dialog; one that acknowledges nothing pending is absorbed."""
    pending = session.unacknowledged
    if pending is None or request.cseq.number != pending.cseq:
        return
    first = session.phase is Phase.ACCEPTED
    sdp = request.sdp if pending.offer else None
    if sdp is not None:
        session.remote_sdp = sdp
    session.offered = False
    ended = session.phase is Phase.ENDED
    accept.acknowledged(session, now)
    if ended:
        return
    if first:
        session.emit(Acknowledged(sdp))
    elif sdp is not None:
        session.emit(RemoteAnswer(sdp))


def send(context: Context, dialog: Dialog, invite: Request, sdp: bytes | None) -> SentAck:
    """Acknowledge a 2xx to our `invite`, with our answer if it brought an offer."""
    ack = dialog.request("ACK", invite.cseq.number)
    # "the ACK MUST contain the same credentials as the INVITE"
    ack.copy(invite, ("authorization", "proxy-authorization"))
    if sdp is not None:
        ack.set_body("application/sdp", sdp)
    target = context.next_hop(dialog)
    context.via(ack, target)
    data = bytes(ack)
    context.transmit(data, target)
    return data, target
