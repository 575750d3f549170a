"""How many files, and so sockets, this process may have open: one for each browser, SIP stream and webhook."""

from __future__ import annotations

import resource
from typing import Final

import structlog

FEW: Final = 4096
_log = structlog.get_logger("dialroom.server")


def raise_open_files() -> int:
    """Raises the limit as far as the system allows and returns it; a warning if that is not much."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError) as error:
            _log.warning("server.open_files_not_raised", limit=soft, allowed=hard, error=str(error))
    if 0 <= soft < FEW:
        _log.warning(
            "server.few_open_files", limit=soft, fix=f"Allow {FEW} or more: `ulimit -Hn`, LimitNOFILE= in a unit."
        )
    return soft
