"""What webhooks need of a store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from dialroom.core.answers import KeptAnswer
from dialroom.core.events import Event
from dialroom.core.paging import Page
from dialroom.webhooks.values import Attempt, Delivery, DeliveryState, Endpoint, Outcome, Task, Work


class EndpointStore(Protocol):
    async def find_endpoint(self, organisation: str, endpoint: str) -> Endpoint | None: ...

    async def page_endpoints(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Endpoint]: ...

    async def count_endpoints(self, organisation: str) -> int: ...

    async def create_endpoint(self, endpoint: Endpoint, answer: KeptAnswer | None = None) -> None:
        """With the answer to its request, in one transaction. Raises IdempotencyInProgress."""

    async def change_endpoint(
        self, organisation: str, endpoint: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint:
        """Read, change and write in one transaction all that is not the delivery's own business.

        Raises NotFound and what `change` raises, which then has changed nothing.
        """
        ...

    async def delete_endpoint(self, organisation: str, endpoint: str) -> None:
        """And its deliveries. Raises NotFound."""


class OutboxStore(Protocol):
    """Deliveries are made by whatever writes an event, in its transaction: one per endpoint that wants it."""

    def on_filled(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever there may be something new to deliver."""

    async def due(self, now: datetime) -> tuple[Work, ...]:
        """Endpoints for which something may be sent now: the first of its subject, due, not leased."""

    async def claim(self, endpoint: str, limit: int, now: datetime, lease_until: datetime) -> tuple[Task, ...]:
        """Take up to `limit` such deliveries for this process until `lease_until`; each goes to one claimer only."""

    async def next_due(self, after: datetime) -> datetime | None:
        """When there may be something more to claim than at that time, if nothing happens."""

    async def finish(self, task: Task, attempt: Attempt, outcome: Outcome) -> None:
        """Write an attempt and what follows, in one transaction. Nothing happens if the delivery is gone."""

    async def release(self, tasks: tuple[Task, ...]) -> None:
        """Give claimed deliveries back untried."""

    async def page_deliveries(
        self,
        organisation: str,
        *,
        endpoint: str | None = None,
        event: str | None = None,
        state: DeliveryState | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Delivery]: ...

    async def page_attempts(
        self, organisation: str, delivery: str, cursor: str | None, limit: int | None
    ) -> Page[Attempt]:
        """Newest first. Raises NotFound, InvalidCursor."""
        ...

    async def find_event(self, organisation: str, event: str) -> Event | None: ...

    async def page_events(
        self, organisation: str, type_: str | None, cursor: str | None, limit: int | None
    ) -> Page[Event]: ...

    async def replay(self, organisation: str, event: str, endpoint: str | None, now: datetime) -> int:
        """Deliver an event again, to one endpoint or to all that want it now; returns to how many.

        Raises NotFound for an unknown event or endpoint.
        """

    async def replay_dead(self, organisation: str, endpoint: str, now: datetime) -> int:
        """Deliver all that was given up for an endpoint again; returns how many."""
