"""Rooms as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dialroom.api.wire.common import Change, Given, Metadata, Moment, Shape, Taken, Time
from dialroom.core.countries import COUNTRY_NAMES
from dialroom.core.numbers import display_number, tel_uri
from dialroom.rooms.values import Number, Room

Digits = Annotated[str, Shape("^[0-9]{4,12}$", "write 4 to 12 digits, 0 to 9, and nothing else")]
Language = Literal["en", "es", "fr", "de", "it", "pt", "ja", "zh", "hi", "ar"]
StartsWith = Literal["anyone", "host"]


class RoomCreate(Taken):
    """A room to make; only the name is needed."""

    name: str = Field(min_length=1, max_length=120, examples=["Weekly planning"])
    slug: str | None = Field(default=None, description="The end of its link; drawn if left out.", examples=["planning"])
    dial_in: bool = Field(default=True, description="Whether phones can join.")
    code: Digits | None = Field(
        default=None, description="The digits that lead into it; drawn if left out.", examples=["482913657"]
    )
    pin: Digits | None = Field(default=None, description="Asked for after the code.", examples=["7741"])
    language: Language = Field(default="en", description="What its callers hear.")
    opens_at: Moment | None = Field(default=None, description="Nobody enters before; callers hear music.")
    expires_at: Moment | None = Field(default=None, description="Nobody enters after.")
    max_participants: int = Field(default=100, ge=1, le=5000)
    locked: bool = Field(default=False, description="Only hosts enter a locked room.")
    starts_with: StartsWith = Field(default="anyone", description="Who may begin a session; others wait until then.")
    guests: bool = Field(default=True, description="Whether the room page lets in anyone who has the link.")
    metadata: Metadata = Field(
        default_factory=dict, description="Yours, at most 4 kB, 32 levels; we only keep it.", examples=[{"ticket": 42}]
    )


class RoomChange(Change):
    """Fields to change; what is left out stays."""

    CLEARABLE = frozenset({"pin", "opens_at", "expires_at", "code"})

    name: str | None = Field(default=None, min_length=1, max_length=120)
    slug: str | None = None
    dial_in: bool | None = None
    code: Digits | None = None
    pin: Digits | None = Field(default=None, description="null takes the PIN away.")
    language: Language | None = None
    opens_at: Moment | None = None
    expires_at: Moment | None = None
    max_participants: int | None = Field(default=None, ge=1, le=5000)
    locked: bool | None = None
    starts_with: StartsWith | None = None
    guests: bool | None = None
    metadata: Metadata | None = None


class DialInNumber(Given):
    """A number that leads to the room, together with its code."""

    number: str = Field(description="E.164, or a SIP user.", examples=["+12025550100"])
    display: str = Field(description="As its country writes it.", examples=["+1 202-555-0100"])
    country: str | None = Field(description="ISO 3166-1.", examples=["US"])
    country_name: str | None = Field(examples=["United States"])
    tel_uri: str = Field(description="Dials number and code with one tap.", examples=["tel:+12025550100,,482913657"])


class DialIn(Given):
    """How to join by phone."""

    enabled: bool
    code: str | None = Field(examples=["482913657"])
    pin_required: bool
    numbers: list[DialInNumber]


class RoomGiven(Given):
    """A room."""

    id: str = Field(examples=["room_k3v7q2m5n4p6r7s2t3u4"])
    name: str = Field(examples=["Weekly planning"])
    slug: str = Field(examples=["abc-defg-hjk"])
    join_url: str = Field(description="The room page.", examples=["http://127.0.0.1:8080/r/abc-defg-hjk"])
    host_url: str = Field(description="The room page for its host. Keep it to yourself.")
    dial_in: DialIn
    pin: str | None
    language: Language
    opens_at: Time | None
    expires_at: Time | None
    max_participants: int
    locked: bool
    starts_with: StartsWith
    guests: bool
    metadata: dict[str, Any]
    session: str | None = Field(description="The session that goes on in it now.")
    created_at: Time
    updated_at: Time


def dial_in_number(number: Number, code: str | None) -> DialInNumber:
    """One number as the way into a room with this code."""
    return DialInNumber(
        number=number.number,
        display=number.display or display_number(number.number),
        country=number.country,
        country_name=COUNTRY_NAMES.get(number.country) if number.country else None,
        tel_uri=tel_uri(number.number, code or ""),
    )


def dial_in(room: Room, numbers: tuple[Number, ...]) -> DialIn:
    """How to join this room by phone, given the organisation's numbers. One that leads straight into another room asks
    for no code, so it is no way into this one."""
    leading = [number for number in numbers if _leads_into(number, room)] if room.dial_in else []
    return DialIn(
        enabled=room.dial_in,
        code=room.code,
        pin_required=room.pin is not None,
        numbers=[dial_in_number(number, None if number.room == room.id else room.code) for number in leading],
    )


def _leads_into(number: Number, room: Room) -> bool:
    return number.dial_in if number.room is None else number.room == room.id


def room_given(room: Room, numbers: tuple[Number, ...], public_url: str, session: str | None) -> RoomGiven:
    """A room as the organisation sees it."""
    join_url = f"{public_url}/r/{room.slug}"
    return RoomGiven(
        id=room.id,
        name=room.name,
        slug=room.slug,
        join_url=join_url,
        host_url=f"{join_url}#host={room.host_key}",
        dial_in=dial_in(room, numbers),
        pin=room.pin,
        language=room.language,  # type: ignore[arg-type]  # checked when the room was made
        opens_at=room.opens_at,
        expires_at=room.expires_at,
        max_participants=room.max_participants,
        locked=room.locked,
        starts_with=room.starts_with,
        guests=room.guests,
        metadata=dict(room.metadata),
        session=session,
        created_at=room.created_at,
        updated_at=room.updated_at,
    )


def room_seen(room: Room, numbers: tuple[Number, ...], base_url: str) -> dict[str, Any]:
    """A room as those in it see it: nothing only its organisation may know."""
    return {
        "id": room.id,
        "name": room.name,
        "locked": room.locked,
        "language": room.language,
        "join_url": f"{base_url}/r/{room.slug}",
        "dial_in": dial_in(room, numbers).model_dump() if room.dial_in else None,
    }
