"""What a session waits for: its timers, and an offer of the peer's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import Offer


class SessionTimer(Enum):
    """Why a session's deadline is set."""

    RESEND_2XX = "2xx to INVITE again until its ACK comes"
    NO_ACK = "no ACK within 64*T1"
    RESEND_PROVISIONAL = "reliable provisional response again until its PRACK comes"
    NO_PRACK = "no PRACK within 64*T1"
    RETRY_REINVITE = "re-INVITE again after 491"
    CANCEL_UNANSWERED = "no final response within 64*T1 of our CANCEL"


@dataclass(slots=True)
class PendingOffer:
    """An offer of the peer we have not answered. `transaction` None: the answer goes into the ACK of our INVITE.

    `event` is what the user was told of it; an offer in the 2xx to our first INVITE is told as `Answered`.
    """

    method: str
    sdp: bytes | None
    transaction: ServerHandle | None = None
    event: Offer | None = None
