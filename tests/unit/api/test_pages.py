"""The room page's own API."""

from __future__ import annotations

from .conftest import House

NOBODY = {"Authorization": ""}


async def test_whoever_has_the_link_sees_how_to_join_and_gets_a_guest_token(house: House) -> None:
    room = await house.room()
    page = (await house.api.get(f"/api/pages/{room['slug']}", headers=NOBODY)).json()
    assert page["room"]["dial_in"]["code"] == room["dial_in"]["code"]
    assert "pin" not in page["room"]
    answer = await house.api.post(f"/api/pages/{room['slug']}/token", json={"name": "Ada"}, headers=NOBODY)
    assert (answer.status_code, answer.json()["role"]) == (201, "guest")


async def test_the_host_link_makes_a_host(house: House) -> None:
    room = await house.room()
    key = room["host_url"].partition("#host=")[2]
    body = {"name": "Ada", "host_key": key}
    answer = await house.api.post(f"/api/pages/{room['slug']}/token", json=body, headers=NOBODY)
    assert answer.json()["role"] == "host"
    body["host_key"] = key[:-1]
    refused = await house.api.post(f"/api/pages/{room['slug']}/token", json=body, headers=NOBODY)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_refused")


async def test_a_room_without_guests_gives_strangers_neither_token_nor_code(house: House) -> None:
    room = await house.room(guests=False)
    page = (await house.api.get(f"/api/pages/{room['slug']}", headers=NOBODY)).json()
    assert page["room"]["dial_in"] is None
    answer = await house.api.post(f"/api/pages/{room['slug']}/token", json={"name": "Eve"}, headers=NOBODY)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_the_address_of_the_api_leads_to_its_documentation(house: House) -> None:
    for path in ("/api", "/api/", "/api/docs/"):
        answer = await house.api.get(path, headers=NOBODY)
        assert (answer.status_code, answer.headers["location"]) == (307, "/api/docs")


async def test_a_link_to_nowhere_is_said_to_be_one(house: House) -> None:
    answer = await house.api.get("/api/pages/no-such-room", headers=NOBODY)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_reload_is_the_same_person_and_nobody_can_become_somebody_they_see(house: House) -> None:
    room = await house.room()

    async def join(visitor: str) -> str:
        body = {"name": "Ada", "visitor": visitor}
        drawn = await house.api.post(f"/api/pages/{room['slug']}/token", json=body, headers=NOBODY)
        claims = await house.services.tokens.verify_join(drawn.json()["token"])
        return claims.identity

    seen = await join("a-secret-of-this-browser")
    assert await join("a-secret-of-this-browser") == seen
    assert await join(seen) != seen
