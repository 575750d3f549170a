"""What happens to a session, in the order it happened. `Cancelled`, `Failed` and `Ended` are each the last one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ringing:
    """A provisional response to our INVITE, with early media if it has a session description."""

    status: int
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx to our INVITE. `sdp` is the answer, or, if our INVITE had none, an offer to be answered."""

    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The ACK for our 2xx. `sdp` is the answer, if the 2xx carried our offer."""

    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Offer:
    """The peer wants to change the session: answer with `answer_offer` or `reject_offer`.

    `sdp` None: it asks us for an offer (a re-INVITE without a session description). `method`: INVITE, UPDATE or PRACK.
    """

    sdp: bytes | None
    method: str


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """The answer to an offer of ours within the session."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class OfferRejected:
    """An offer of ours within the session was refused; the session goes on as it was."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Info:
    """An INFO, already answered 200."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """The peer answered our in-dialog OPTIONS: it is there."""


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """Our in-dialog OPTIONS got no answer, or one that says the call is gone."""

    status: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller gave up before we answered."""

    sip_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Our INVITE did not become a call. `status` is the peer's, 408 for silence, 503 for an unreachable transport."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over. `by`: remote, local or timeout; `sip_reason` is the Reason header, if any came."""

    reason: str
    by: str
    sip_reason: str | None = None


SessionEvent = (
    Ringing
    | Answered
    | Acknowledged
    | Offer
    | RemoteAnswer
    | OfferRejected
    | Info
    | ProbeAnswered
    | ProbeFailed
    | Cancelled
    | Failed
    | Ended
)
