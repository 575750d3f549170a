"""Endpoints, deliveries and attempts: what they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dialroom.core.events import Event

DeliveryState = Literal["pending", "delivered", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A receiver. ``secret`` signs; after a rotation ``previous_secret`` signs too until ``previous_until``.

    ``failures`` counts failed requests since the last success; ``retry_at`` is when the next may be tried.
    """

    id: str
    organisation: str
    url: str
    description: str
    filters: tuple[str, ...]
    enabled: bool
    disabled_reason: str | None = None
    secret: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    previous_until: datetime | None = None
    failures: int = 0
    retry_at: datetime | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one endpoint.

    ``pending`` will be tried at ``due``; ``dead`` is given up and waits for a replay. ``attempts`` counts since the
    start or the last replay, ``started_at`` is when that was.
    """

    id: str
    organisation: str
    endpoint: str
    event: str
    subject: str
    state: DeliveryState
    attempts: int
    due: datetime
    started_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request to a receiver: its HTTP ``status``, or the ``error`` that kept us from one; took `duration_ms`."""

    at: datetime
    status: int | None
    error: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Task:
    """A delivery claimed by this process, with what it needs."""

    delivery: Delivery
    endpoint: Endpoint
    event: Event


@dataclass(frozen=True, slots=True)
class Work:
    """An endpoint with something due; ``probe`` if it fails at the moment and should get one request only."""

    endpoint: str
    probe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt did to a delivery and its endpoint.

    ``retry_at``: None when the delivery is finished. ``endpoint_failures`` and ``endpoint_retry_at`` become the
    endpoint's; ``recovered``: what else waits for it is due now. ``disable``: the receiver is gone for good.
    """

    state: DeliveryState
    retry_at: datetime | None
    endpoint_failures: int
    endpoint_retry_at: datetime | None
    recovered: bool = False
    disable: str | None = None
