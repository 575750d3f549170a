"""The API describes itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .conftest import House

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


async def test_every_operation_is_described_and_every_error_is_a_problem(house: House) -> None:
    schema = (await house.api.get("/api/openapi.json")).json()
    assert schema["openapi"].startswith("3.1")
    operations = [
        (f"{method} {path}", operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) > 30
    for name, operation in operations:
        assert operation.get("description"), f"{name} has no description"
        for status, response in operation["responses"].items():
            if status.startswith("4"):
                assert "application/problem+json" in response["content"], f"{name} {status}"
    assert "HTTPValidationError" not in schema["components"]["schemas"]


async def test_whatever_takes_an_idempotency_key_may_answer_that_it_was_used(house: House) -> None:
    paths = (await house.api.get("/api/openapi.json")).json()["paths"]
    creates = [
        operation
        for methods in paths.values()
        for operation in methods.values()
        if any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", ()))
    ]
    assert len(creates) == 5
    assert all("409" in each["responses"] for each in creates)


async def test_every_list_comes_in_pages(house: House) -> None:
    document = (await house.api.get("/api/openapi.json")).json()
    given = {
        path: methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        for path, methods in document["paths"].items()
        if "get" in methods
    }
    assert [path for path, schema in given.items() if schema.get("type") == "array"] == []
    pages = [path for path, schema in given.items() if "/PageOf_" in schema.get("$ref", "")]
    assert len(pages) > 8
    for path in pages:
        asked = {each["name"] for each in document["paths"][path]["get"]["parameters"]}
        assert {"cursor", "limit"} <= asked, path


async def test_values_carry_examples(house: House) -> None:
    schemas = (await house.api.get("/api/openapi.json")).json()["components"]["schemas"]
    for name in (
        "RoomCreate",
        "RoomGiven",
        "ParticipantGiven",
        "CallGiven",
        "NumberCreate",
        "WebhookCreate",
        "Problem",
    ):
        assert any("examples" in field for field in schemas[name]["properties"].values()), name


def with_examples(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema that has examples, with where it stands."""
    if isinstance(value, dict):
        if isinstance(value.get("examples"), list):
            yield path, value
        for name, each in value.items():
            yield from with_examples(each, f"{path}/{name}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from with_examples(each, f"{path}/{index}")


async def test_every_example_is_what_its_schema_says(house: House) -> None:
    document = (await house.api.get("/api/openapi.json")).json()
    schemas = list(with_examples(document))
    assert len(schemas) > 40
    for path, schema in schemas:
        validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
        for example in schema["examples"]:
            assert validator.is_valid(example), f"{path}: {example!r}"


async def test_a_change_says_which_fields_take_null(house: House) -> None:
    schemas = (await house.api.get("/api/openapi.json")).json()["components"]["schemas"]
    takes_null = {
        (name, field)
        for name, schema in schemas.items()
        if name.endswith("Change")
        for field, value in schema["properties"].items()
        if {"type": "null"} in value.get("anyOf", ())
    }
    assert takes_null == {
        *(("RoomChange", field) for field in ("code", "pin", "opens_at", "expires_at")),
        *(("NumberChange", field) for field in ("language", "room")),
        *(("GatewayChange", field) for field in ("username", "password", "region")),
    }


@pytest.mark.timeout(300)
async def test_whatever_is_sent_is_answered_as_described(house: House) -> None:
    """Requests made from the description, right ones and wrong ones: no answer is a server error, none is another than
    the description has."""

    def talk() -> None:
        description = schemathesis.openapi.from_url(f"http://{house.url}/api/openapi.json")
        for found in description.get_all_operations():
            operation = found.ok()  # type: ignore[union-attr]  # an error in the description raises here

            @given(case=operation.as_strategy())
            @settings(
                max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
            )
            def holds(case: Any) -> None:
                case.call_and_validate(headers={"Authorization": f"Bearer {house.key}"}, checks=CHECKS)

            holds()

    await asyncio.to_thread(talk)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/rooms", "GET, HEAD, POST"),
        ("/api/gateways/gw_x", "DELETE, GET, HEAD, PATCH"),
        ("/api/calls/explain", "GET, HEAD, POST"),
        ("/", "GET, HEAD"),
        ("/api/rooms/room_x/end", "POST"),
    ],
)
async def test_a_method_that_does_not_work_is_told_which_do(house: House, path: str, allowed: str) -> None:
    answer = await house.api.put(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/healthz", "/api/rooms", "/api/nothing"])
async def test_head_is_answered_like_get_without_the_body(house: House, path: str) -> None:
    got, head = await house.api.get(path), await house.api.head(path)
    assert head.content == b""
    assert head.status_code == got.status_code
    assert head.headers["content-length"] == got.headers["content-length"]
