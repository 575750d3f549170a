"""What all of the API's JSON has in common."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from dialroom.core.clock import isoformat
from dialroom.core.countries import COUNTRY_NAMES
from dialroom.core.errors import Invalid


def _written_out(value: Any) -> Any:
    """Pydantic would take numbers, and texts of numbers, as seconds or milliseconds since 1970, whichever fits."""
    if isinstance(value, datetime) or (isinstance(value, str) and "T" in value.upper()):
        return value
    raise ValueError("write the time as 2026-11-21T12:00:00Z")


MAX_LEVELS = 32
"""Of metadata. What goes deeper than some 250 could be read, and not be written into an answer."""

Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), Field(examples=["2026-11-21T12:00:00Z"])]
"""A time that is sent to us."""

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
    if _deeper_than(MAX_LEVELS, value):
        raise ValueError(f"at most {MAX_LEVELS} levels of objects and lists")
    json.dumps(value, allow_nan=False)  # Python's parser takes NaN and Infinity, which are no JSON
    return value


def _deeper_than(levels: int, value: dict[str, Any]) -> bool:
    level: list[Any] = [value]
    for _ in range(levels):
        inside = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
        level = [each for each in inside if isinstance(each, dict | list)]
    return bool(level)


@dataclass(frozen=True, slots=True)
class Shape:
    """A text of this pattern, whose ``words`` tell people what it is; programs read the pattern in the description."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._shaped, handler(source))

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core_schema), "pattern": self.pattern}

    def _shaped(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(self.words)
        return text


Line = Annotated[str, AfterValidator(_line)]
Country = Annotated[
    str, Shape("^[A-Z]{2}$", "write the two letters of ISO 3166-1, such as US"), AfterValidator(_country)
]
Metadata = Annotated[dict[str, Any], AfterValidator(_json)]


class Given(BaseModel):
    """What we give. Built from our values by attribute."""

    model_config = ConfigDict(from_attributes=True)


class Taken(BaseModel):
    """What we take. A field we do not know is refused: it is a typo more often than not."""

    model_config = ConfigDict(extra="forbid", str_max_length=4096)


class Change(Taken):
    """Fields to change; what is left out stays. None stands for left out, and for null in a field of `CLEARABLE`."""

    CLEARABLE: ClassVar[frozenset[str]] = frozenset()

    def changes(self) -> dict[str, Any]:
        """The fields that were sent. Raises Invalid for null where it means nothing."""
        changes = self.model_dump(exclude_unset=True)
        for field, value in changes.items():
            if value is None and field not in self.CLEARABLE:
                raise Invalid(f"`{field}` cannot be null.", "Leave it out to keep it as it is.", field)
        return changes

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema says which fields take null, and names no default, because there is none."""
        schema = handler(core_schema)
        for name, field in handler.resolve_ref_schema(schema)["properties"].items():
            field.pop("default", None)
            if name not in cls.CLEARABLE and "anyOf" in field:
                (only,) = (each for each in field.pop("anyOf") if each != {"type": "null"})
                field.update(only)
        return schema


T = TypeVar("T")


class PageOf(BaseModel, Generic[T]):
    """One page of a list, newest first."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Pass it as `cursor` for the next page; null on the last one."
    )
