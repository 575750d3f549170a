"""``/api/rooms``: rooms, the tokens that lead into them, their running session."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from dialroom.api.context import Asked, Context, Services, Tenant
from dialroom.api.idempotency import IdempotencyKey, once
from dialroom.api.problem import responses
from dialroom.api.wire.common import PageOf
from dialroom.api.wire.meetings import SessionGiven, TokenCreate, TokenGiven
from dialroom.api.wire.rooms import RoomChange, RoomCreate, RoomGiven, room_given
from dialroom.core.answers import Answer
from dialroom.core.errors import Invalid
from dialroom.core.ids import new_id
from dialroom.rooms.directory import NewRoom
from dialroom.rooms.values import Room

router = APIRouter(prefix="/rooms", tags=["Rooms"])


@router.post("", status_code=201, responses=responses(409, 422))
async def create_room(
    body: RoomCreate, request: Request, context: Context, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> RoomGiven:
    """Make a room. Its link and, unless dial-in is off, its code are drawn if you do not give them."""

    numbers = await context.numbers.list(tenant)

    def given(room: Room) -> RoomGiven:
        return room_given(room, numbers, context.config.base_url, None)

    async def create(answer: Answer[RoomGiven]) -> RoomGiven:
        new = NewRoom(**body.model_dump())
        if new.expires_at is not None and new.expires_at <= context.clock.now():
            fix = "Set `expires_at` to a time that is still to come, or leave it out."
            raise Invalid("The room would have expired already.", fix, "expires_at")
        return given(await context.rooms.create(tenant, new, answer=lambda room: answer(given(room))))

    return await once(context, request, tenant, idempotency_key, RoomGiven, create)


@router.get("", responses=responses(400))
async def list_rooms(context: Context, tenant: Tenant, asked: Asked) -> PageOf[RoomGiven]:
    """Your rooms, newest first."""
    page = await context.rooms.page(tenant, asked.cursor, asked.limit)
    return PageOf(items=[await _given(context, room) for room in page.items], next_cursor=page.next_cursor)


@router.get("/{room}", responses=responses(404))
async def read_room(room: str, context: Context, tenant: Tenant) -> RoomGiven:
    """One room."""
    return await _given(context, await context.rooms.read(tenant, room))


@router.patch("/{room}", responses=responses(404, 409, 422))
async def change_room(room: str, body: RoomChange, context: Context, tenant: Tenant) -> RoomGiven:
    """Change a room. What is going on in it goes on; a lock keeps out only who comes later."""
    changes = body.changes()
    return await _given(context, await context.rooms.change(tenant, room, **changes))


@router.delete("/{room}", status_code=204, responses=responses(404))
async def delete_room(room: str, context: Context, tenant: Tenant) -> Response:
    """Delete a room. A session that goes on in it ends for everybody; what was recorded of it stays readable."""
    await context.rooms.delete(tenant, room)
    return Response(status_code=204)


@router.post("/{room}/tokens", status_code=201, tags=["Tokens"], responses=responses(404, 409, 422))
async def create_token(
    room: str,
    body: TokenCreate,
    request: Request,
    context: Context,
    tenant: Tenant,
    idempotency_key: IdempotencyKey = None,
) -> TokenGiven:
    """Make a join token (a JWT) for one of your users; hand it to the SDK's `join`."""
    found = await context.rooms.read(tenant, room)

    async def create(_answer: Answer[TokenGiven]) -> TokenGiven:
        identity = body.identity or new_id("tok")
        token, claims = await context.tokens.issue_join(
            tenant,
            found.id,
            identity=identity,
            name=body.name,
            role=body.role,
            ttl=timedelta(seconds=body.expires_in),
        )
        return TokenGiven(token=token, identity=identity, expires_at=claims.expires_at)

    return await once(context, request, tenant, idempotency_key, TokenGiven, create)


@router.post("/{room}/end", status_code=204, tags=["Sessions"], responses=responses(404))
async def end_session_of_room(room: str, context: Context, tenant: Tenant) -> Response:
    """End the session that goes on in the room, for everybody. Callers are told before we hang up."""
    found = await context.rooms.read(tenant, room)
    await context.meetings.end(found.id, "api")
    return Response(status_code=204)


@router.get("/{room}/sessions", tags=["Sessions"], responses=responses(400, 404))
async def list_sessions_of_room(room: str, context: Context, tenant: Tenant, asked: Asked) -> PageOf[SessionGiven]:
    """The room's sessions, newest first."""
    found = await context.rooms.read(tenant, room)
    page = await context.meeting_store.page_sessions(tenant, found.id, None, asked.cursor, asked.limit)
    return PageOf(items=[SessionGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


async def _given(context: Services, room: Room) -> RoomGiven:
    numbers = await context.numbers.list(room.organisation)
    session = context.meetings.session_of(room.id)
    return room_given(room, numbers, context.config.base_url, session.id if session else None)
