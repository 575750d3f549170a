"""How much one visitor, and one organisation, may have at once. Visitors come through a proxy on loopback."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dialroom.core.limits import Buckets

from .conftest import Guest, House

VISITOR = {"X-Forwarded-For": "192.0.2.7"}
NEIGHBOUR = {"X-Forwarded-For": "192.0.2.8"}


@pytest.mark.parametrize("path", ["/api/socket", "/api/live"])
async def test_a_visitor_gets_so_many_sockets_and_another_when_one_is_closed(house: House, path: str) -> None:
    first = await house.socket(path, additional_headers=VISITOR)
    async with house.socket("/api/socket", additional_headers=VISITOR):
        with pytest.raises(InvalidStatus) as refused:
            await house.socket(path, additional_headers=VISITOR)
        assert refused.value.response.status_code == 429
        assert json.loads(refused.value.response.body or b"")["code"] == "too_many_connections"
        async with house.socket(path, additional_headers=NEIGHBOUR):
            pass
        await first.close()
        async with house.socket(path, additional_headers=VISITOR):
            pass


async def test_who_is_on_this_machine_is_not_counted(house: House) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(house.socket())


async def test_a_visitor_cannot_say_who_they_are_past_the_proxy(house: House) -> None:
    forged = {"X-Forwarded-For": "203.0.113.1, 192.0.2.7"}
    async with house.socket(additional_headers=VISITOR), house.socket(additional_headers=VISITOR):
        with pytest.raises(InvalidStatus):
            await house.socket(additional_headers=forged)


async def test_an_organisation_gets_so_many_people_and_who_is_in_may_come_back(house: House) -> None:
    room = await house.room()
    async with AsyncExitStack() as stack:
        joined = []
        for each in range(4):
            guest = Guest(await stack.enter_async_context(house.socket()))
            token = await house.token(room["id"], identity=f"user-{each}")
            joined.append(await guest.request("join", token=token))
        late = Guest(await stack.enter_async_context(house.socket()))
        answer = await late.request("join", token=await house.token(room["id"], identity="late"))
        assert answer["error"]["code"] == "too_many_connections"
        back = Guest(await stack.enter_async_context(house.socket()))
        resumed = await back.request("resume", resume_token=joined[0]["resume_token"])
        assert resumed["type"] == "ok"


async def test_an_organisation_gets_so_many_live_sockets(house: House) -> None:
    async with house.socket("/api/live") as first:
        await first.send(json.dumps({"key": house.key}))
        assert json.loads(await first.recv()) == {"type": "ready"}
        async with house.socket("/api/live") as second:
            await second.send(json.dumps({"key": house.key}))
            assert json.loads(await second.recv())["code"] == "too_many_connections"
            with pytest.raises(ConnectionClosed):
                await second.recv()


async def test_a_visitor_gets_so_many_page_tokens_in_a_time(house: House) -> None:
    page = f"/api/pages/{(await house.room())['slug']}/token"
    house.api.headers.update(VISITOR)
    house.visitors._tokens = Buckets(house.services.clock, rate=0.01, burst=1)
    assert (await house.api.post(page, json={"name": "Ada"})).status_code == 201
    answer = await house.api.post(page, json={"name": "Ada"})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert int(answer.headers["Retry-After"]) >= 1
    house.api.headers.update(NEIGHBOUR)
    assert (await house.api.post(page, json={"name": "Ada"})).status_code == 201
