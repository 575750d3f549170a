"""Numbers and gateways as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dialroom.api.wire.common import Change, Country, Given, Line, Shape, Taken, Time
from dialroom.api.wire.rooms import Language

Username = Annotated[
    str,
    Shape(
        r"^[!#-9;-\[\]-~]{1,64}$",
        "write 1 to 64 visible characters of ASCII, none of them a quotation mark, a backslash or a colon",
    ),
]
"""What would end a user name in a digest is not in it."""


class NumberCreate(Taken):
    """A number that reaches us."""

    number: str = Field(max_length=32, description="E.164, or a bare SIP user.", examples=["+12025550100"])
    display: Line = Field(default="", max_length=64, description="As people read it; made from the number if left out.")
    country: Country | None = Field(default=None, description="ISO 3166-1; read off the number.")
    language: Language | None = Field(default=None, description="In which callers are asked for the code.")
    dial_in: bool = Field(default=True, description="Whether it asks for a code.")
    room: str | None = Field(default=None, description="A room it leads straight into.")


class NumberChange(Change):
    """Fields to change; what is left out stays."""

    CLEARABLE = frozenset({"language", "room"})

    display: Line | None = Field(default=None, max_length=64)
    language: Language | None = None
    dial_in: bool | None = None
    room: str | None = None


class NumberGiven(Given):
    """A number that reaches us."""

    id: str
    number: str
    display: str
    country: str | None
    language: str | None
    dial_in: bool
    room: str | None
    created_at: Time


class GatewayCreate(Taken):
    """A trunk whose calls to let in."""

    name: Line = Field(min_length=1, max_length=120, examples=["My carrier"])
    addresses: list[str] = Field(default_factory=list, max_length=64, examples=[["198.51.100.0/24"]])
    username: Username | None = Field(default=None, description="Ask it for digest authentication.")
    password: str | None = Field(default=None, min_length=8, max_length=128)
    region: Country | None = Field(default=None, description="Whose national numbers it sends.")


class GatewayChange(Change):
    """Fields to change; what is left out stays."""

    CLEARABLE = frozenset({"username", "password", "region"})

    name: Line | None = Field(default=None, min_length=1, max_length=120)
    addresses: list[str] | None = Field(default=None, max_length=64, examples=[["198.51.100.0/24", "203.0.113.16/32"]])
    username: Username | None = Field(default=None, description="null takes it and the password away.")
    password: str | None = Field(default=None, min_length=8, max_length=128)
    region: Country | None = None


class GatewayGiven(Given):
    """A trunk whose calls to let in. Its password is not shown again."""

    id: str
    name: str
    addresses: list[str]
    username: str | None
    region: str | None
    created_at: Time
