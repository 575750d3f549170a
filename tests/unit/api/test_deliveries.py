"""What was sent to webhooks, as the API lists it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dialroom.core.events import new_event
from dialroom.core.paging import Position, encode_cursor
from dialroom.webhooks.values import Attempt, Outcome

from .conftest import House


async def a_delivery(house: House, *statuses: int) -> str:
    """A delivery that was answered so, each time in the same microsecond."""
    await house.api.post("/api/webhooks", json={"url": "http://127.0.0.1:9/"})
    now = house.services.clock.now()
    await house.store.meetings.write(events=[new_event(house.organisation, "call.received", now, "call_x", {})])
    (work,) = await house.store.webhooks.due(now)
    (task,) = await house.store.webhooks.claim(work.endpoint, 1, now, now + timedelta(minutes=1))
    later = Outcome(state="pending", retry_at=now, endpoint_failures=0, endpoint_retry_at=None)
    for status in statuses:
        attempt = Attempt(at=now, status=status, error=None, duration_ms=5)
        await house.store.webhooks.finish(task, attempt, later)
    return task.delivery.id


async def test_the_attempts_of_a_delivery_come_in_pages_newest_first(house: House) -> None:
    path = f"/api/deliveries/{await a_delivery(house, 500, 501, 502, 503, 504)}/attempts"
    pages, cursor = [], None
    while True:
        page = (await house.api.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        pages.append([each["status"] for each in page["items"]])
        if (cursor := page["next_cursor"]) is None:
            break
    assert pages == [[504, 503], [502, 501], [500]]


@pytest.mark.parametrize("id_", ["dlv_k3v7q2m5n4p6r7s2t3u4", "9" * 30, "-1"])
async def test_a_cursor_of_another_list_is_refused(house: House, id_: str) -> None:
    path = f"/api/deliveries/{await a_delivery(house, 500)}/attempts"
    cursor = encode_cursor(Position(house.services.clock.now(), id_))
    answer = await house.api.get(path, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_an_unknown_delivery_has_no_attempts(house: House) -> None:
    answer = await house.api.get("/api/deliveries/dlv_x/attempts")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
