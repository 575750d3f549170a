"""How a call ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["completed", "rejected", "failed", "cancelled", "no_answer", "busy"]
EndedBy = Literal["caller", "callee", "host", "api", "server", "network"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended, and who ended it.

    ``result``: ``completed`` had been answered; ``rejected`` we refused it; ``cancelled`` the caller hung up before the
    answer; ``failed`` something broke. ``reason`` is a stable word such as ``wrong_code`` or ``media_timeout``;
    ``sip_code`` the final SIP status, if one was sent or received.
    """

    result: Result
    reason: str
    sip_code: int | None
    by: EndedBy
