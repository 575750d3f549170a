"""Events go into the outbox in the transaction of the change that caused them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, insert, select

from dialroom.core.events import Event
from dialroom.core.ids import new_id
from dialroom.store.database import mark_filled
from dialroom.store.tables import deliveries, events, micros, webhook_endpoints
from dialroom.webhooks.filters import wants


def write_events(connection: Connection, happened: Sequence[Event]) -> None:
    """Keep events, and for each endpoint that wants one a delivery. In the order given."""
    if not happened:
        return
    rows = [
        {
            "id": event.id,
            "organisation": event.organisation,
            "type": event.type,
            "occurred_at": micros(event.occurred_at),
            "subject": event.subject,
            "data": msgspec.json.encode(dict(event.data)).decode(),
        }
        for event in happened
    ]
    connection.execute(insert(events), rows)
    wanted = _endpoints(connection, sorted({event.organisation for event in happened}))
    due = [
        _delivery(event, endpoint)
        for event in happened
        for endpoint, filters in wanted.get(event.organisation, ())
        if wants(filters, event.type)
    ]
    if due:
        connection.execute(insert(deliveries), due)
        mark_filled(connection)


def _endpoints(connection: Connection, organisations: Sequence[str]) -> dict[str, list[tuple[str, list[str]]]]:
    query = select(webhook_endpoints.c.organisation, webhook_endpoints.c.id, webhook_endpoints.c.filters).where(
        webhook_endpoints.c.organisation.in_(organisations), webhook_endpoints.c.enabled
    )
    found: dict[str, list[tuple[str, list[str]]]] = {}
    for organisation, id_, filters in connection.execute(query):
        found.setdefault(organisation, []).append((id_, msgspec.json.decode(filters, type=list[str])))
    return found


def _delivery(event: Event, endpoint: str) -> dict[str, object]:
    at = micros(event.occurred_at)
    return {
        "id": new_id("dlv"),
        "organisation": event.organisation,
        "endpoint": endpoint,
        "event": event.id,
        "subject": event.subject,
        "state": "pending",
        "attempts": 0,
        "due": at,
        "created_at": at,
    }
