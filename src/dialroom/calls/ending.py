"""How a call ended, told apart once and near where it happens; everything else reads the one `Ending`."""

from __future__ import annotations

from typing import Final

from dialroom.core.ending import EndedBy, Ending
from dialroom.sip.session.events import Cancelled, Ended, Failed

ANSWERED: Final = 200
REQUEST_TERMINATED: Final = 487

_BY_HOST: Final = frozenset({"removed", "session_ended"})
_OUR_FAULT: Final = frozenset(
    {"internal_error", "media_lost", "server_stopped", "server_restarted", "store_unavailable"}
)
_NETWORK_FAULT: Final = frozenset({"connection_lost", "no_ack", "media_refused"})


def refused(status: int, reason: str) -> Ending:
    """We did not take the call."""
    return Ending("rejected", reason, status or None, "server")


def hung_up_by_us(reason: str) -> Ending:
    """We ended an answered call, for the reason a flow or the server gave."""
    if reason in _OUR_FAULT:
        return Ending("failed", reason, ANSWERED, "server")
    if reason in _NETWORK_FAULT:
        return Ending("failed", reason, ANSWERED, "network")
    return Ending("completed", reason, ANSWERED, _ender(reason))


def signalled(event: Cancelled | Failed | Ended) -> Ending:
    """What the signalling said last, when the end did not come from us."""
    match event:
        case Cancelled():
            return Ending("cancelled", "caller_cancelled", REQUEST_TERMINATED, "caller")
        case Failed(status, _):
            return _not_answered(status)
        case Ended(_, "remote"):
            return Ending("completed", "caller_hung_up", ANSWERED, "caller")
        case Ended(_, "timeout"):
            return Ending("failed", "no_ack", ANSWERED, "network")
        case Ended(reason, _):
            return hung_up_by_us(reason)


def _not_answered(status: int) -> Ending:
    if status in (486, 600):
        return Ending("busy", "busy", status, "callee")
    if status in (408, 480, 487):
        return Ending("no_answer", "no_answer", status, "callee")
    return Ending("failed", "call_refused", status, "callee" if status != 503 else "network")


def _ender(reason: str) -> EndedBy:
    return "host" if reason in _BY_HOST else "server"
