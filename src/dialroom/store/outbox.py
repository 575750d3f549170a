"""Events go into the outbox in the transaction of the change that caused them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, bindparam, insert, select

from dialroom.core.events import Event
from dialroom.core.ids import new_id
from dialroom.store.database import mark_filled
from dialroom.store.tables import deliveries, events, micros, webhook_endpoints
from dialroom.webhooks.filters import wants

# Statements of every call are made once: putting one together takes longer than running it.
_INSERT_EVENTS = insert(events)
_INSERT_DELIVERIES = insert(deliveries)
_ENABLED = select(webhook_endpoints.c.id, webhook_endpoints.c.filters).where(
    webhook_endpoints.c.organisation == bindparam("organisation"), webhook_endpoints.c.enabled
)


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
    connection.execute(_INSERT_EVENTS, rows)
    wanted = {each: _endpoints(connection, each) for each in sorted({event.organisation for event in happened})}
    due = [
        _delivery(event, endpoint)
        for event in happened
        for endpoint, filters in wanted[event.organisation]
        if wants(filters, event.type)
    ]
    if due:
        connection.execute(_INSERT_DELIVERIES, due)
        mark_filled(connection)


def _endpoints(connection: Connection, organisation: str) -> list[tuple[str, list[str]]]:
    found = connection.execute(_ENABLED, {"organisation": organisation})
    return [(id_, msgspec.json.decode(filters, type=list[str])) for id_, filters in found]


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
