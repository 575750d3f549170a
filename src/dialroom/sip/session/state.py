"""A session as it can be stored, so that a restarted process goes on with the call."""

from __future__ import annotations

from enum import Enum

import msgspec

from dialroom.sip.address import Address
from dialroom.sip.dialog import Dialog
from dialroom.sip.facts import RequestFacts


class Phase(Enum):
    """Where a session is in its life."""

    INCOMING = "incoming"
    """INVITE received, not answered."""
    CALLING = "calling"
    """INVITE sent, not answered."""
    ACCEPTED = "accepted"
    """2xx sent, ACK awaited."""
    ESTABLISHED = "established"
    ENDED = "ended"


class Unacknowledged(msgspec.Struct, frozen=True):
    """A 2xx to INVITE whose ACK has not come; it is retransmitted until then (RFC 3261 §13.3.1.4)."""

    cseq: int
    data: bytes
    offer: bool
    """Whether it carries our offer, so that the ACK must carry the answer."""
    target: Address


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """What `restore` takes. `facts` are those of the INVITE (of our own, for a call out)."""

    phase: Phase
    dialog: Dialog
    facts: RequestFacts
    remote_sdp: bytes | None = None
    local_sdp: bytes | None = None
    unacknowledged: Unacknowledged | None = None
    caller: bool = False
    """Whether the first INVITE was ours: whoever sent it owns the Call-ID (RFC 3261 §14.1)."""
