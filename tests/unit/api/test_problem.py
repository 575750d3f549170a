"""Errors of the API say whose fault it is, what happened and what to do."""

from __future__ import annotations

import pytest

from dialroom.api.limits import MAX_BODY_BYTES
from dialroom.api.wire.common import MAX_LEVELS

from .conftest import House


async def test_a_request_without_key_is_told_how_to_send_one(house: House) -> None:
    answer = await house.api.get("/api/rooms", headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthenticated"
    assert "Authorization: Bearer" in answer.json()["fix"]


@pytest.mark.parametrize(
    ("header", "detail"),
    [
        ("", "carries no API key"),
        ("dr_abc", "not `Bearer` and a key"),
        ("Basic ZHI6YWJj", "not `Bearer` and a key"),
        ("Bearer dr_abc", "no such API key"),
    ],
)
async def test_what_is_wrong_with_a_key_is_said(house: House, header: str, detail: str) -> None:
    answer = await house.api.get("/api/rooms", headers={"Authorization": header})
    assert answer.status_code == 401
    assert detail in answer.json()["detail"]


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
        ({"name": "a", "opens_at": 1790000000}, "body.opens_at"),
        ({"name": "a", "opens_at": "1790000000"}, "body.opens_at"),
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


@pytest.mark.parametrize("sent", ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", ""])
async def test_json_that_does_not_say_so_is_told_which_header_it_needs(house: House, sent: str) -> None:
    answer = await house.api.post(
        "/api/rooms", content=b'{"name": "x"}', headers={"Content-Type": sent} if sent else {}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Type: application/json" in answer.json()["fix"]


@pytest.mark.parametrize(
    "body",
    [b"", b'{"name": "\xff\xfe"}', b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", b'{"a":' + b"9" * 5000 + b"}"],
    ids=["nothing", "not UTF-8", "too deep", "a number too long"],
)
async def test_a_body_nobody_can_read_is_said_to_be_no_json(house: House, body: bytes) -> None:
    answer = await house.api.post("/api/rooms", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json"), answer.text
    assert answer.json()["fix"] == "Send one JSON object as body, in UTF-8."


async def test_a_query_parameter_nobody_knows_is_refused_instead_of_giving_more_than_was_asked_for(
    house: House,
) -> None:
    answer = await house.api.get("/api/calls", params={"stat": "ended", "limit": 1})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "query.stat", "message": "There is no such parameter"}]


async def test_a_slash_too_many_is_not_redirected_to_wherever_the_host_header_points(house: House) -> None:
    answer = await house.api.get("/api/rooms/", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_what_is_no_json_is_not_kept_as_something_else(house: House, number: str) -> None:
    body = f'{{"name": "x", "metadata": {{"a": [{number}]}}}}'
    answer = await house.api.post("/api/rooms", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.metadata"


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_metadata_too_deep_to_be_given_back_is_not_taken(house: House, method: str) -> None:
    metadata: object = 1
    for _ in range(MAX_LEVELS - 1):
        metadata = [metadata]
    room = await house.room(metadata={"a": metadata})
    assert room["metadata"] == {"a": metadata}
    path = "/api/rooms" if method == "POST" else f"/api/rooms/{room['id']}"
    answer = await house.api.request(method, path, json={"name": "x", "metadata": {"a": [metadata]}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.metadata")
    assert "32 levels" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("path", "field", "made"),
    [
        ("/api/rooms", "name", {"name": "x"}),
        ("/api/numbers", "display", {"number": "2000"}),
        ("/api/numbers", "dial_in", {"number": "2000"}),
        ("/api/gateways", "addresses", {"name": "x", "addresses": ["198.51.100.0/24"]}),
        ("/api/webhooks", "url", {"url": "http://127.0.0.1:9/"}),
    ],
)
async def test_null_where_it_means_nothing_is_refused_instead_of_ignored(
    house: House, path: str, field: str, made: dict[str, object]
) -> None:
    answer = await house.api.post(path, json=made)
    changed = await house.api.patch(f"{path}/{answer.json()['id']}", json={field: None})
    assert (changed.status_code, changed.json()["errors"][0]["field"]) == (422, f"body.{field}")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/numbers", {"number": "2000", "display": "2\n000"}, "body.display"),
        ("/api/numbers", {"number": "2000", "country": "ZZ"}, "body.country"),
        ("/api/gateways", {"name": "a\x00b", "addresses": ["198.51.100.0/24"]}, "body.name"),
        ("/api/gateways", {"name": "x", "addresses": ["198.51.100.0/24"], "region": "ZZ"}, "body.region"),
        ("/api/gateways", {"name": "x", "username": "", "password": "correct horse"}, "body.username"),
        ("/api/gateways", {"name": "x", "username": 'a"b', "password": "correct horse"}, "body.username"),
        ("/api/gateways", {"name": "x", "username": "a:b", "password": "correct horse"}, "body.username"),
        ("/api/webhooks", {"url": "http://127.0.0.1:9/", "description": "\x1b[31m"}, "body.description"),
    ],
)
async def test_texts_are_lines_that_people_can_read(
    house: House, path: str, body: dict[str, object], field: str
) -> None:
    answer = await house.api.post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/api/rooms", {"name": "x", "code": "planning"}, "4 to 12 digits"),
        ("/api/rooms", {"name": "x", "code": "123"}, "4 to 12 digits"),
        ("/api/rooms", {"name": "x", "code": "482913657\n"}, "4 to 12 digits"),
        ("/api/rooms", {"name": "x", "code": "٤٨٢٩١٣٦٥٧"}, "4 to 12 digits"),
        ("/api/rooms", {"name": "x", "pin": "12 34"}, "4 to 12 digits"),
        ("/api/numbers", {"number": "2000", "country": "usa"}, "two letters"),
        ("/api/gateways", {"name": "x", "username": "a:b", "password": "correct horse"}, "a colon"),
    ],
)
async def test_what_a_text_has_to_look_like_is_said_in_words(
    house: House, path: str, body: dict[str, object], words: str
) -> None:
    answer = await house.api.post(path, json=body)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, words in error["message"]) == (422, True), error
    assert "^" not in answer.text


async def test_the_description_of_a_code_has_its_pattern(house: House) -> None:
    schemas = (await house.api.get("/api/openapi.json")).json()["components"]["schemas"]
    for name in ("RoomCreate", "RoomChange"):
        text, null = schemas[name]["properties"]["code"]["anyOf"]
        assert (text["pattern"], null) == ("^[0-9]{4,12}$", {"type": "null"})


async def test_a_network_with_an_address_inside_is_told_how_to_write_it(house: House) -> None:
    answer = await house.api.post("/api/gateways", json={"name": "x", "addresses": ["10.1.2.3/8"]})
    assert answer.status_code == 422
    assert answer.json()["fix"] == "Write 10.0.0.0/8 if you mean all of it."


async def test_answers_with_secrets_are_kept_by_no_cache_and_the_sdk_can_be_imported_from_other_origins(
    house: House,
) -> None:
    rooms = await house.api.get("/api/rooms", headers={"Origin": "https://app.example.com"})
    assert rooms.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in rooms.headers
    sdk = await house.api.get("/sdk/dialroom.js", headers={"Origin": "https://app.example.com"})
    assert sdk.headers["access-control-allow-origin"] == "*"
