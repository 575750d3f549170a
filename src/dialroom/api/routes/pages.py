"""The room page: the page itself, what it shows before joining, and the tokens it joins with."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from dialroom.api.context import Context
from dialroom.api.limits import Visitors
from dialroom.api.problem import responses
from dialroom.api.wire.common import Given, Shape, Taken, Time
from dialroom.api.wire.rooms import DialIn, dial_in
from dialroom.core.errors import Forbidden, TokenRefused
from dialroom.core.ids import new_id
from dialroom.rooms.values import Role, Room

PAGE_TOKEN_LIFETIME = timedelta(hours=1)

Visitor = Annotated[str, Shape("^[A-Za-z0-9_-]{16,64}$", "write 16 to 64 letters, digits, hyphens and underscores")]

router = APIRouter(prefix="/pages", tags=["Room page"])


class PageRoom(Given):
    """A room as its page shows it to somebody who has not joined."""

    name: str
    locked: bool
    open: bool = Field(description="Whether a session goes on in it now.")
    opens_at: Time | None
    dial_in: DialIn | None


class PageGiven(Given):
    """What the page shows before joining."""

    room: PageRoom


class PageTokenCreate(Taken):
    """Who wants to join from the page."""

    name: str = Field(min_length=1, max_length=120)
    visitor: Visitor | None = Field(
        default=None,
        description="A random text this browser keeps to itself: with it, a reload is the same person.",
    )
    host_key: str | None = Field(default=None, max_length=128)


class PageToken(Given):
    """A join token for the page."""

    token: str
    role: Role
    room: PageRoom


@router.get("/{slug}", responses=responses(404))
async def read_page(slug: str, context: Context) -> PageGiven:
    """What the room page shows before joining. Needs no key: whoever has the link may see it."""
    room = await context.rooms.by_slug(slug)
    return PageGiven(room=await _page_room(context, room))


async def _in_measure(request: Request) -> None:
    visitors: Visitors = request.app.state.visitors
    visitors.ask_token(request)


@router.post(
    "/{slug}/token", status_code=201, responses=responses(401, 403, 404, 429), dependencies=[Depends(_in_measure)]
)
async def create_page_token(slug: str, body: PageTokenCreate, context: Context) -> PageToken:
    """A join token for somebody who opened the room's link; a host's with the host key of the host link."""
    room = await context.rooms.by_slug(slug)
    if body.host_key is not None and not context.rooms.check_host_key(room, body.host_key):
        raise TokenRefused(
            "The host key is not this room's.", "Open the host link again, exactly as you were given it."
        )
    if body.host_key is None and not room.guests:
        raise Forbidden("This room takes only people who were given a token.", "Ask for an invitation.")
    role: Role = "host" if body.host_key is not None else "guest"
    token, _ = await context.tokens.issue_join(
        room.organisation,
        room.id,
        identity=_identity(room, body.visitor),
        name=body.name,
        role=role,
        ttl=PAGE_TOKEN_LIFETIME,
    )
    return PageToken(token=token, role=role, room=await _page_room(context, room))


def _identity(room: Room, visitor: str | None) -> str:
    """Everybody in the room sees identities, and who joins with one replaces its bearer: so it does not tell the
    browser's secret it is made from."""
    if visitor is None:
        return new_id("tok")
    return "page_" + hashlib.sha256(f"{room.id}\0{visitor}".encode()).hexdigest()[:32]


async def _page_room(context: Context, room: Room) -> PageRoom:
    numbers = await context.numbers.list(room.organisation) if room.guests and room.dial_in else ()
    return PageRoom(
        name=room.name,
        locked=room.locked,
        open=context.meetings.session_of(room.id) is not None,
        opens_at=room.opens_at,
        dial_in=dial_in(room, numbers) if room.guests and room.dial_in else None,
    )
