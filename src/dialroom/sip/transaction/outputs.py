"""Everything a transaction can do to the world."""

from __future__ import annotations

from dataclasses import dataclass

from dialroom.sip.message import Request, Response


@dataclass(frozen=True, slots=True)
class Transmit:
    """Put these bytes on the wire, to where the transaction's messages go."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give this message to the transaction user."""

    message: Request | Response


@dataclass(frozen=True, slots=True)
class Fail:
    """Tell the transaction user that nothing more will come. `reason`: `timeout` or `transport`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """The transaction is over; forget it."""


Output = Transmit | Deliver | Fail | Terminate
