"""When to try again: pure.

A delivery is tried for 72 hours. What the receiver refuses (4xx) is parked after a few tries, since it will hardly
change its mind; what fails otherwise goes on, ever more seldom, at most every five minutes, so that a backlog starts to
drain within five minutes of the receiver's return. When an endpoint has failed several times in a row it gets one
request at a time; a success makes everything that waits for it due at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dialroom.webhooks.values import Delivery, Endpoint, Outcome

RETRY_FOR: Final = timedelta(hours=72)
DELAYS: Final = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds before the second, third, … attempt; the last goes for all that follow."""

REFUSED_TRIES: Final = 5
"""Attempts at something the receiver answers with 4xx."""

PROBE_FROM: Final = 5
"""Failures in a row after which an endpoint gets one request at a time."""

_RETRIED_4XX = frozenset({408, 425, 429})


def delay(attempts: int, jitter: float) -> float:
    """Seconds to wait after so many attempts; `jitter` in 0 … 1 spreads them by a fifth either way."""
    base = DELAYS[min(max(attempts, 1), len(DELAYS)) - 1]
    return base * (0.8 + 0.4 * jitter)


def judge(delivery: Delivery, endpoint: Endpoint, status: int | None, now: datetime, jitter: float) -> Outcome:
    """What an answer means; `status` None: there was none. `delivery.attempts` counts the ones before this."""
    attempts = delivery.attempts + 1
    if status is not None and 200 <= status < 300:
        return Outcome(
            state="delivered",
            retry_at=None,
            endpoint_failures=0,
            endpoint_retry_at=None,
            recovered=endpoint.failures > 0,
        )
    failures = endpoint.failures + 1
    if status == 410:
        return Outcome(
            state="dead",
            retry_at=None,
            endpoint_failures=failures,
            endpoint_retry_at=None,
            disable="The receiver answered 410 Gone.",
        )
    retry_at = now + timedelta(seconds=delay(attempts, jitter))
    if _refused(status):
        dead = attempts >= REFUSED_TRIES
        return Outcome(
            state="dead" if dead else "pending",
            retry_at=None if dead else retry_at,
            endpoint_failures=endpoint.failures,
            endpoint_retry_at=endpoint.retry_at,
        )
    dead = retry_at >= delivery.started_at + RETRY_FOR
    probing = failures >= PROBE_FROM
    return Outcome(
        state="dead" if dead else "pending",
        retry_at=None if dead else retry_at,
        endpoint_failures=failures,
        endpoint_retry_at=now + timedelta(seconds=delay(failures - PROBE_FROM + 1, jitter)) if probing else None,
    )


def _refused(status: int | None) -> bool:
    return status is not None and 400 <= status < 500 and status not in _RETRIED_4XX
