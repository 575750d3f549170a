"""Whose fault it is: `SipError` the peer's bytes, `LocalError` our own misuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dialroom.sip.message import Message


class SipError(Exception):
    """Bytes from a peer that are not SIP we can accept.

    `status` is what a server should answer with (400, 416, 505 …). `partial` is as much of the message as could be
    read, so that an answer can be built from its Via, From, To, Call-ID and CSeq; None when there is nothing to answer.
    """

    def __init__(self, reason: str, *, status: int = 400, partial: Message | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.partial = partial


class LocalError(Exception):
    """We asked the stack for something illegal: a value that cannot go on the wire, or an act out of turn."""
