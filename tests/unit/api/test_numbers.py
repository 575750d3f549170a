"""Numbers, gateways, and what would become of a call."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.unit.calls.memory_calls import call_record

from .conftest import House


async def test_a_number_is_added_and_leads_callers_to_the_code(house: House) -> None:
    made = await house.api.post("/api/numbers", json={"number": "+1 (202) 555-0100", "language": "es"})
    assert made.status_code == 201, made.text
    number = made.json()
    assert (number["number"], number["country"], number["display"]) == ("+12025550100", "US", "+1 202-555-0100")
    explained = await house.api.post("/api/calls/explain", json={"to": "0012025550100", "from": "+12025550176"})
    assert explained.json()["outcome"] == "ask_for_code"
    again = await house.api.post("/api/numbers", json={"number": "+12025550100"})
    assert again.json()["code"] == "number_taken"


async def test_a_number_that_leads_straight_into_a_room_is_no_way_into_another(house: House) -> None:
    straight, other = await house.room(name="Straight"), await house.room(name="Other")
    for number, room in (("2000", straight["id"]), ("3000", None)):
        made = await house.api.post("/api/numbers", json={"number": number, "room": room})
        assert made.status_code == 201, made.text
    ways = {
        room["name"]: {
            each["number"]: each["tel_uri"]
            for each in (await house.api.get(f"/api/rooms/{room['id']}")).json()["dial_in"]["numbers"]
            if each["number"] in ("2000", "3000")
        }
        for room in (straight, other)
    }
    assert ways == {
        "Straight": {"2000": "tel:2000", "3000": f"tel:3000,,{straight['dial_in']['code']}"},
        "Other": {"3000": f"tel:3000,,{other['dial_in']['code']}"},
    }


async def test_what_is_no_number_is_refused_with_an_example(house: House) -> None:
    answer = await house.api.post("/api/numbers", json={"number": "call me"})
    assert answer.status_code == 422
    assert "+12025550176" in answer.json()["fix"]


async def test_a_call_to_nobodys_number_would_be_refused_and_the_trace_says_why(house: House) -> None:
    explained = (await house.api.post("/api/calls/explain", json={"to": "+4930123456"})).json()
    assert explained["outcome"] == "reject"
    assert any("404" in step["why"] for step in explained["trace"]), explained


async def test_a_question_about_a_call_may_be_the_uri_that_would_be_dialled(house: House) -> None:
    await house.api.post("/api/numbers", json={"number": "+12025550100"})
    far = f"sip:+12025550100@{'sbc.' * 15}example.com;transport=tcp"
    for to in ("sip:+12025550100@127.0.0.1:5060", "tel:+1-202-555-0100", far):
        explained = await house.api.post("/api/calls/explain", json={"to": to, "from": "sip:anna@pbx.example"})
        assert explained.json()["outcome"] == "ask_for_code", explained.text
    for wrong, field in (({"to": "sip:"}, None), ({"to": "1000", "source": "my.host"}, "body.source")):
        answer = await house.api.post("/api/calls/explain", json=wrong)
        assert answer.status_code == 422, answer.text
        assert field in (None, *(each["field"] for each in answer.json().get("errors", [])))


async def test_a_gateway_never_shows_its_password_again(house: House) -> None:
    body = {"name": "Carrier", "addresses": ["198.51.100.0/24"], "username": "trunk", "password": "correct horse"}
    made = await house.api.post("/api/gateways", json=body)
    assert made.status_code == 201, made.text
    assert "correct horse" not in made.text
    assert (await house.api.get("/api/gateways")).json()["items"][0]["addresses"] == ["198.51.100.0/24"]
    assert (await house.api.delete(f"/api/gateways/{made.json()['id']}")).status_code == 204
    for wrong in ({"name": "x"}, {"name": "x", "addresses": ["300.1.1.1"]}, {"name": "x", "username": "u"}):
        assert (await house.api.post("/api/gateways", json=wrong)).status_code == 422


async def test_a_username_tells_one_gateway_from_all_others(house: House) -> None:
    body = {"name": "PBX", "username": "pbx", "password": "correct horse"}
    assert (await house.api.post("/api/gateways", json=body)).status_code == 201
    taken = await house.api.post("/api/gateways", json=body | {"password": "another one"})
    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    without = {"name": "Carrier", "addresses": ["198.51.100.0/24"]}
    for _ in range(2):
        assert (await house.api.post("/api/gateways", json=without)).status_code == 201


async def test_calls_of_a_number_are_found_though_its_plus_was_not_escaped(house: House) -> None:
    record = call_record()
    await house.store.calls.save(replace(record, organisation=house.organisation, from_number="+12025550176"))
    for written in ("%2B12025550176", "+12025550176"):
        found = (await house.api.get(f"/api/calls?number={written}")).json()["items"]
        assert [each["id"] for each in found] == [record.id], written


async def test_calls_since_a_time_without_zone_are_not_guessed_at(house: House) -> None:
    answer = await house.api.get("/api/calls", params={"since": "2026-11-21T12:00:00"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.since")
    zoned = await house.api.get("/api/calls", params={"since": "2026-11-21T12:00:00Z"})
    assert zoned.status_code == 200


async def test_a_gateway_is_changed_and_keeps_what_is_left_out(house: House) -> None:
    body = {"name": "Carrier", "addresses": ["198.51.100.0/24"], "username": "trunk", "password": "correct horse"}
    made = (await house.api.post("/api/gateways", json=body)).json()
    path = f"/api/gateways/{made['id']}"
    changed = await house.api.patch(path, json={"addresses": ["203.0.113.0/24"], "region": "US"})
    assert changed.status_code == 200, changed.text
    assert changed.json() == made | {"addresses": ["203.0.113.0/24"], "region": "US"}
    assert (await house.api.get(path)).json() == changed.json()
    (stored,) = await house.services.gateways.list()
    assert stored.password == "correct horse"
    without = await house.api.patch(path, json={"username": None})
    assert (without.status_code, without.json()["username"]) == (200, None)
    (stored,) = await house.services.gateways.list()
    assert stored.password is None


async def test_a_gateway_is_not_changed_into_one_that_lets_nobody_or_everybody_in(house: House) -> None:
    made = (await house.api.post("/api/gateways", json={"name": "PBX", "addresses": ["198.51.100.0/24"]})).json()
    path = f"/api/gateways/{made['id']}"
    for wrong, field in (
        ({"addresses": []}, "addresses"),
        ({"addresses": None}, "addresses"),
        ({"addresses": ["300.0.0.1"]}, "addresses"),
        ({"name": None}, "name"),
        ({"username": "pbx"}, "password"),
        ({"password": "correct horse"}, "password"),
    ):
        answer = await house.api.patch(path, json=wrong)
        assert answer.status_code == 422, wrong
        assert answer.json()["errors"][0]["field"] == f"body.{field}"
    assert (await house.api.get(path)).json() == made
    assert (await house.api.patch("/api/gateways/gw_nobody", json={"name": "x"})).status_code == 404


async def test_two_changes_of_one_number_or_gateway_at_once_both_hold(house: House) -> None:
    number = (await house.api.post("/api/numbers", json={"number": "+12025550100"})).json()
    body = {"name": "Carrier", "addresses": ["198.51.100.0/24"]}
    gateway = (await house.api.post("/api/gateways", json=body)).json()
    for path, first, second in (
        (f"/api/numbers/{number['id']}", {"language": "es"}, {"dial_in": False}),
        (f"/api/gateways/{gateway['id']}", {"region": "US"}, {"addresses": ["203.0.113.0/24"]}),
    ):
        before = (await house.api.get(path)).json()
        answers = await asyncio.gather(house.api.patch(path, json=first), house.api.patch(path, json=second))
        assert [each.status_code for each in answers] == [200, 200]
        assert (await house.api.get(path)).json() == before | first | second


async def test_a_number_leads_into_no_room_that_is_not_there(house: House) -> None:
    wrong = {"room": "room_nobody"}
    made = await house.api.post("/api/numbers", json={"number": "+12025550100", **wrong})
    assert (made.status_code, made.json()["code"]) == (404, "not_found")
    number = (await house.api.post("/api/numbers", json={"number": "+12025550100"})).json()
    changed = await house.api.patch(f"/api/numbers/{number['id']}", json=wrong)
    assert (changed.status_code, changed.json()["code"]) == (404, "not_found")
    room = (await house.room())["id"]
    led = await house.api.patch(f"/api/numbers/{number['id']}", json={"room": room})
    assert (led.status_code, led.json()["room"]) == (200, room)
    path = "/api/numbers/num_nobody"
    for gone in (await house.api.patch(path, json={}), await house.api.delete(path)):
        assert (gone.status_code, gone.json()["fix"]) == (404, "Use the number's `id`.")
