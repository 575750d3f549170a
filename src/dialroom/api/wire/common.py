"""What all of the API's JSON has in common."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from dialroom.core.clock import isoformat

Time = Annotated[
    datetime,
    PlainSerializer(isoformat, return_type=str, when_used="json"),
    Field(description="RFC 3339, in UTC.", examples=["2026-11-21T12:00:00.000Z"]),
]


class Given(BaseModel):
    """What we give. Built from our values by attribute."""

    model_config = ConfigDict(from_attributes=True)


class Taken(BaseModel):
    """What we take. A field we do not know is refused: it is a typo more often than not."""

    model_config = ConfigDict(extra="forbid", str_max_length=4096)


T = TypeVar("T")


class PageOf(BaseModel, Generic[T]):
    """One page of a list, newest first."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Pass it as `cursor` for the next page; null on the last one."
    )
