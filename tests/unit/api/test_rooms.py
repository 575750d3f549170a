"""Rooms by API."""

from __future__ import annotations

import asyncio

import pytest

from dialroom.auth.keys import ApiKeys
from dialroom.core.clock import SystemClock
from dialroom.core.ids import new_id
from dialroom.rooms.values import Organisation

from .conftest import House


async def test_a_room_is_made_with_a_link_a_code_and_numbers_to_dial(house: House) -> None:
    room = await house.room(name="Weekly planning", pin="7741", metadata={"ticket": 42})
    assert room["join_url"].endswith(f"/r/{room['slug']}")
    assert room["host_url"].startswith(room["join_url"] + "#host=")
    assert len(room["dial_in"]["code"]) >= 9
    assert room["dial_in"]["pin_required"] is True
    number = room["dial_in"]["numbers"][0]
    assert number["tel_uri"] == f"tel:{number['number']},,{room['dial_in']['code']}"
    assert room["metadata"] == {"ticket": 42}
    assert (await house.api.get(f"/api/rooms/{room['id']}")).json() == room


async def test_a_change_changes_only_what_is_named(house: House) -> None:
    room = await house.room(pin="7741")
    changed = (await house.api.patch(f"/api/rooms/{room['id']}", json={"locked": True})).json()
    assert changed["locked"] is True
    assert (changed["pin"], changed["name"]) == ("7741", room["name"])
    cleared = (await house.api.patch(f"/api/rooms/{room['id']}", json={"pin": None})).json()
    assert cleared["pin"] is None
    answer = await house.api.patch(f"/api/rooms/{room['id']}", json={"name": None})
    assert answer.json()["errors"][0]["field"] == "body.name"


async def test_times_are_kept_as_given_and_told_in_utc(house: House) -> None:
    room = await house.room(opens_at="2030-01-01T12:00:00+02:00")
    assert room["opens_at"] == "2030-01-01T10:00:00.000Z"
    changed = (await house.api.patch(f"/api/rooms/{room['id']}", json={"expires_at": "2030-01-02T00:00:00Z"})).json()
    assert (changed["opens_at"], changed["expires_at"]) == (room["opens_at"], "2030-01-02T00:00:00.000Z")


async def test_turning_dial_in_off_takes_the_code_away_and_on_draws_one(house: House) -> None:
    room = await house.room()
    off = (await house.api.patch(f"/api/rooms/{room['id']}", json={"dial_in": False})).json()
    assert (off["dial_in"]["enabled"], off["dial_in"]["code"]) == (False, None)
    on = (await house.api.patch(f"/api/rooms/{room['id']}", json={"dial_in": True})).json()
    assert on["dial_in"]["code"]


async def test_a_code_is_not_lost_where_dial_in_is_off(house: House) -> None:
    made = await house.api.post("/api/rooms", json={"name": "Off", "dial_in": False, "code": "314159265"})
    off = await house.room(dial_in=False)
    path = f"/api/rooms/{off['id']}"
    changed = await house.api.patch(path, json={"code": "314159265"})
    for answer in (made, changed):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.code")
    both = await house.api.patch(path, json={"dial_in": True, "code": "314159265"})
    assert both.json()["dial_in"]["code"] == "314159265"


async def test_a_room_is_not_made_for_a_time_that_is_over(house: House) -> None:
    answer = await house.api.post("/api/rooms", json={"name": "Late", "expires_at": "2020-12-01T10:00:00Z"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.expires_at")
    room = await house.room(opens_at="2020-12-01T10:00:00Z")
    over = await house.api.patch(f"/api/rooms/{room['id']}", json={"expires_at": "2020-12-02T10:00:00Z"})
    assert over.status_code == 200  # that is how a room is closed


async def test_two_rooms_cannot_have_one_code(house: House) -> None:
    await house.room(code="314159265")
    answer = await house.api.post("/api/rooms", json={"name": "Other", "code": "314159265"})
    assert (answer.status_code, answer.json()["code"]) == (409, "code_taken")


async def test_a_deleted_room_is_gone(house: House) -> None:
    room = await house.room()
    assert (await house.api.delete(f"/api/rooms/{room['id']}")).status_code == 204
    assert (await house.api.get(f"/api/rooms/{room['id']}")).status_code == 404


async def test_lists_are_paged_newest_first(house: House) -> None:
    for number in range(5):
        await house.room(name=f"Room {number}")
    first = (await house.api.get("/api/rooms", params={"limit": 2})).json()
    second = (await house.api.get("/api/rooms", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    names = [room["name"] for room in first["items"] + second["items"]]
    assert names == ["Room 4", "Room 3", "Room 2", "Room 1"]
    answer = await house.api.get("/api/rooms", params={"cursor": "made up"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_a_create_repeated_with_its_idempotency_key_happens_once(house: House) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first = await house.api.post("/api/rooms", json={"name": "Once"}, headers=headers)
    again = await house.api.post("/api/rooms", json={"name": "Once"}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = await house.api.post("/api/rooms", json={"name": "Twice"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_mismatch")


async def test_a_failed_create_leaves_its_idempotency_key_free(house: House) -> None:
    headers = {"Idempotency-Key": "order-18"}
    await house.room(code="271828182")
    taken = {"name": "Late", "code": "271828182"}
    assert (await house.api.post("/api/rooms", json=taken, headers=headers)).status_code == 409
    free = {"name": "Late", "code": "271828183"}
    assert (await house.api.post("/api/rooms", json=free, headers=headers)).status_code == 201


async def test_twenty_creates_at_once_with_one_key_make_one_room(house: House) -> None:
    headers = {"Idempotency-Key": "storm"}
    answers = await asyncio.gather(
        *(house.api.post("/api/rooms", json={"name": "Storm"}, headers=headers) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    rooms = (await house.api.get("/api/rooms")).json()["items"]
    assert sum(room["name"] == "Storm" for room in rooms) == 1


async def test_another_organisation_sees_nothing_of_it(house: House) -> None:
    room = await house.room()
    clock = SystemClock()
    other = Organisation(id=new_id("org"), name="other", token_secret="s" * 40, created_at=clock.now())
    await house.store.organisations.create(other)
    _, text = await ApiKeys(house.store.keys, clock).create(other.id, "theirs")
    theirs = {"Authorization": f"Bearer {text}"}
    assert (await house.api.get("/api/rooms", headers=theirs)).json()["items"] == []
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"locked": True}),
        ("DELETE", "", None),
        ("POST", "/tokens", {"name": "Eve"}),
        ("POST", "/end", None),
        ("GET", "/sessions", None),
    ):
        answer = await house.api.request(method, f"/api/rooms/{room['id']}{path}", json=body, headers=theirs)
        assert answer.status_code == 404, (method, path)


@pytest.mark.parametrize("field", ["opens_at", "expires_at"])
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_time_no_clock_will_show_is_refused_and_leaves_the_list_readable(
    house: House, field: str, time: str
) -> None:
    answer = await house.api.post("/api/rooms", json={"name": "Never", field: time})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"body.{field}")
    assert (await house.api.get("/api/rooms")).status_code == 200
