"""What is read often or from tables that grow is found by an index, in the order it is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from dialroom.calls.ports import CallFilter
from dialroom.store.store import Store
from tests.support.clock import NOON

ORG = "org_aaaaaaaaaaaaaaaaaaaa"
GROWING = (
    "calls",
    "sessions",
    "participants",
    "events",
    "deliveries",
    "delivery_attempts",
    "idempotency_keys",
    "guesses",
)

READS: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "calls": lambda s: s.calls.page(ORG, CallFilter()),
    "calls in a state": lambda s: s.calls.page(ORG, CallFilter(state="in_room")),
    "calls of a room": lambda s: s.calls.page(ORG, CallFilter(room="room_x")),
    "calls of a session": lambda s: s.calls.page(ORG, CallFilter(session="sess_x")),
    "calls of a number": lambda s: s.calls.page(ORG, CallFilter(number="+12025550176")),
    "calls of a time": lambda s: s.calls.page(ORG, CallFilter(since=NOON, until=NOON)),
    "running calls": lambda s: s.calls.running(),
    "old calls": lambda s: s.calls.prune(NOON, 10),
    "sessions": lambda s: s.meetings.page_sessions(ORG, None, None, None, None),
    "sessions of a room": lambda s: s.meetings.page_sessions(ORG, "room_x", None, None, None),
    "old sessions": lambda s: s.meetings.prune(NOON, 10),
    "participants": lambda s: s.meetings.page_participants(ORG, "sess_x", None, None),
    "who was removed": lambda s: s.meetings.was_removed(ORG, "sess_x", "ann"),
    "events": lambda s: s.webhooks.page_events(ORG, None, None, None),
    "events of a type": lambda s: s.webhooks.page_events(ORG, "call.ended", None, None),
    "old events": lambda s: s.webhooks.prune(NOON, 10),
    "deliveries": lambda s: s.webhooks.page_deliveries(ORG),
    "deliveries to an endpoint": lambda s: s.webhooks.page_deliveries(ORG, endpoint="whk_x"),
    "deliveries in a state": lambda s: s.webhooks.page_deliveries(ORG, state="dead"),
    "endpoints with something due": lambda s: s.webhooks.due(NOON),
    "what is due next": lambda s: s.webhooks.next_due(NOON),
    "what an endpoint gets": lambda s: s.webhooks.claim("whk_x", 8, NOON, NOON),
    "what is given up": lambda s: s.webhooks.give_up(NOON, NOON, 10),
    "old idempotency keys": lambda s: s.idempotency.prune(NOON, 10),
    "whether a caller is a regular": lambda s: s.guesses.is_regular(ORG, "+12025550176", NOON),
    "drained guesses": lambda s: s.guesses.prune(NOON, 10),
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
async def test_what_grows_is_read_by_index(store: Store, read: Callable[[Store], Awaitable[Any]]) -> None:
    plan: list[str] = []

    def explain(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            asked = connection.connection.cursor()
            asked.execute("EXPLAIN QUERY PLAN " + statement, parameters)
            plan.extend(str(row[3]) for row in asked.fetchall())

    for engine in (store._database._writer, store._database._reader):
        event.listen(engine, "before_cursor_execute", explain)
    await read(store)
    assert plan
    scanned = [step for step in plan if step.startswith("SCAN") and step.split()[1] in GROWING and "INDEX" not in step]
    hardly_less = [step for step in plan if step.endswith(("(state=?)", "(lease_until=?)"))]
    sorted_ = [step for step in plan if "ORDER BY" in step]
    assert (scanned, hardly_less, sorted_) == ([], [], []), plan
