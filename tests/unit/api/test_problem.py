"""Errors of the API say whose fault it is, what happened and what to do."""

from __future__ import annotations

import pytest

from dialroom.api.limits import MAX_BODY_BYTES

from .conftest import House


async def test_a_request_without_key_is_told_how_to_send_one(house: House) -> None:
    answer = await house.api.get("/api/rooms", headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthenticated"
    assert "Authorization: Bearer" in answer.json()["fix"]


async def test_a_wrong_key_is_refused_without_being_repeated(house: House) -> None:
    wrong = house.key[:-1] + ("A" if house.key[-1] != "A" else "B")
    answer = await house.api.get("/api/rooms", headers={"Authorization": f"Bearer {wrong}"})
    assert answer.status_code == 401
    assert wrong not in answer.text


async def test_a_body_that_is_not_json_is_said_to_be_none(house: House) -> None:
    answer = await house.api.post("/api/rooms", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.name"),
        ({"name": "x" * 121}, "body.name"),
        ({"name": "a", "code": "12ab"}, "body.code"),
        ({"name": "a", "language": "tlh"}, "body.language"),
        ({"name": "a", "colour": "red"}, "body.colour"),
        ({"name": "a", "max_participants": 0}, "body.max_participants"),
        ({"name": "a", "metadata": {"big": "x" * 5000}}, "body.metadata"),
        ({"name": "a", "slug": "Not A Slug"}, "body.slug"),
        ({"name": "a", "code": "1111"}, "body.code"),
        ({"name": "a", "opens_at": "tomorrow"}, "body.opens_at"),
    ],
)
async def test_a_wrong_value_is_named(house: House, body: dict[str, object], field: str) -> None:
    answer = await house.api.post("/api/rooms", json=body)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["code"] == "invalid"
    assert problem["errors"][0]["field"] == field


async def test_a_body_without_end_is_cut_off(house: House) -> None:
    answer = await house.api.post("/api/rooms", json={"name": "x", "metadata": {"x": "y" * MAX_BODY_BYTES}})
    assert answer.status_code == 413
    assert "Send less" in answer.json()["fix"]


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(house: House) -> None:
    assert (await house.api.get("/api/nothing")).json()["code"] == "not_found"
    wrong = await house.api.put("/api/rooms", json={})
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


async def test_a_bug_is_a_problem_without_inner_details(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(house.services.rooms, "page", broken)
    answer = await house.api.get("/api/rooms")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "42" not in answer.text
