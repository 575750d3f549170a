"""What all of the API's JSON has in common."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from dialroom.core.clock import isoformat
from dialroom.core.countries import COUNTRY_NAMES
from dialroom.core.errors import Invalid

Time = Annotated[
    datetime,
    PlainSerializer(isoformat, return_type=str, when_used="json"),
    Field(description="RFC 3339, in UTC.", examples=["2026-11-21T12:00:00.000Z"]),
]


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("only printable characters, on one line")
    return text


def _country(code: str) -> str:
    if code not in COUNTRY_NAMES:
        raise ValueError("there is no such country with telephones; use the two letters of ISO 3166-1, such as US")
    return code


def _json(value: dict[str, Any]) -> dict[str, Any]:
    json.dumps(value, allow_nan=False)  # Python's parser takes NaN and Infinity, which are no JSON
    return value


Line = Annotated[str, AfterValidator(_line)]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$"), AfterValidator(_country)]
Metadata = Annotated[dict[str, Any], AfterValidator(_json)]


class Given(BaseModel):
    """What we give. Built from our values by attribute."""

    model_config = ConfigDict(from_attributes=True)


class Taken(BaseModel):
    """What we take. A field we do not know is refused: it is a typo more often than not."""

    model_config = ConfigDict(extra="forbid", str_max_length=4096)


def changes_of(body: Taken, clearable: Collection[str] = ()) -> dict[str, Any]:
    """The fields that were sent. Raises Invalid for null in a field that is not ``clearable``."""
    changes = body.model_dump(exclude_unset=True)
    for field, value in changes.items():
        if value is None and field not in clearable:
            raise Invalid(f"`{field}` cannot be null.", "Leave it out to keep it as it is.", field)
    return changes


T = TypeVar("T")


class PageOf(BaseModel, Generic[T]):
    """One page of a list, newest first."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Pass it as `cursor` for the next page; null on the last one."
    )
