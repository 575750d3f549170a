"""What can be wrong with a session description."""

from __future__ import annotations


class SdpError(Exception):
    """A description that cannot be read. `reason` is fit for a log and a call's record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotAcceptable(SdpError):  # noqa: N818 - the word of RFC 3261 for 488
    """A readable description with nothing in it that we can talk: to be answered 488."""
