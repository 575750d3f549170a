"""The API describes itself."""

from __future__ import annotations

from .conftest import House


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
