from __future__ import annotations

from typing import Any

import pytest

from dialroom.auth.idempotency import IdempotencyRecord
from dialroom.core.answers import KeptAnswer
from dialroom.core.clock import SystemClock
from dialroom.core.errors import IdempotencyInProgress, StoreUnavailable
from dialroom.rooms.directory import NewRoom, new_room
from tests.support.clock import NOON

from .conftest import House

HEADERS = {"Idempotency-Key": "order-17"}
CREATES = [
    ("rooms", {"name": "Once"}),
    ("numbers", {"number": "+12025550176"}),
    ("gateways", {"name": "Carrier", "addresses": ["198.51.100.0/24"]}),
    ("webhooks", {"url": "https://example.com/hook"}),
]


def _break_after(part: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `part` creates is stored, and then something fails, once."""
    create = part.create

    async def create_and_fail(*args: Any, **options: Any) -> None:
        monkeypatch.setattr(part, "create", create)
        await create(*args, **options)
        raise StoreUnavailable

    monkeypatch.setattr(part, "create", create_and_fail)


@pytest.mark.parametrize(("kind", "body"), CREATES, ids=[kind for kind, _ in CREATES])
async def test_what_was_created_before_answering_failed_is_not_created_again(
    house: House, kind: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len((await house.api.get(f"/api/{kind}")).json()["items"])
    _break_after(getattr(house.services, kind), monkeypatch)
    failed = await house.api.post(f"/api/{kind}", json=body, headers=HEADERS)
    assert failed.status_code == 503
    again = await house.api.post(f"/api/{kind}", json=body, headers=HEADERS)
    assert again.status_code == 201
    listed = (await house.api.get(f"/api/{kind}")).json()["items"]
    assert len(listed) == before + 1
    assert again.json()["id"] == listed[0]["id"]


@pytest.mark.parametrize(("kind", "body"), CREATES, ids=[kind for kind, _ in CREATES])
async def test_a_repeated_create_is_answered_alike(house: House, kind: str, body: dict[str, Any]) -> None:
    first = await house.api.post(f"/api/{kind}", json=body, headers=HEADERS)
    again = await house.api.post(f"/api/{kind}", json=body, headers=HEADERS)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()


async def test_a_token_asked_for_twice_is_the_same(house: House) -> None:
    room = await house.room()
    path = f"/api/rooms/{room['id']}/tokens"
    first = await house.api.post(path, json={"name": "Ada"}, headers=HEADERS)
    again = await house.api.post(path, json={"name": "Ada"}, headers=HEADERS)
    assert again.json() == first.json()


async def test_a_create_whose_key_was_taken_over_meanwhile_creates_nothing(house: House) -> None:
    tenant = house.organisation
    record = IdempotencyRecord(organisation=tenant, key="k", request_hash=b"h", started_at=NOON)
    await house.store.idempotency.claim(record, NOON, NOON)
    answer = KeptAnswer(tenant, "k", 201, b"{}")
    await house.store.idempotency.finish(answer)  # by the same request, which came again and was quicker
    room = new_room(tenant, NewRoom(name="Late"), SystemClock().now())
    with pytest.raises(IdempotencyInProgress):
        await house.store.rooms.create(room, answer)
    assert await house.store.rooms.find(tenant, room.id) is None
