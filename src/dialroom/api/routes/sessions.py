"""``/api/sessions`` and ``/api/participants``: who met, who is in a room now, and moderating them."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Response

from dialroom.api.context import Asked, Context, Services, Tenant
from dialroom.api.problem import responses
from dialroom.api.wire.common import PageOf
from dialroom.api.wire.meetings import ParticipantChange, ParticipantGiven, ParticipantMove, SessionGiven
from dialroom.core.errors import Conflict, NotFound
from dialroom.rooms.values import Participant

router = APIRouter()


@router.get("/sessions", tags=["Sessions"], responses=responses(400))
async def list_sessions(
    context: Context,
    tenant: Tenant,
    asked: Asked,
    room: Annotated[str | None, Query(description="Only this room's.")] = None,
    running: Annotated[bool | None, Query(description="true: only those going on now; false: only ended ones.")] = None,
) -> PageOf[SessionGiven]:
    """Sessions, newest first."""
    page = await context.meeting_store.page_sessions(tenant, room, running, asked.cursor, asked.limit)
    return PageOf(items=[SessionGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/sessions/{session}", tags=["Sessions"], responses=responses(404))
async def read_session(session: str, context: Context, tenant: Tenant) -> SessionGiven:
    """One session."""
    found = await context.meeting_store.find_session(tenant, session)
    if found is None:
        raise NotFound(f"There is no session {session!r}.")
    return SessionGiven.model_validate(found)


@router.get("/sessions/{session}/participants", tags=["Participants"], responses=responses(400, 404))
async def list_participants(session: str, context: Context, tenant: Tenant, asked: Asked) -> PageOf[ParticipantGiven]:
    """Everybody who is or was in a session, newest first."""
    await read_session(session, context, tenant)
    page = await context.meeting_store.page_participants(tenant, session, asked.cursor, asked.limit)
    return PageOf(items=[_given(context, each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/participants/{participant}", tags=["Participants"], responses=responses(404))
async def read_participant(participant: str, context: Context, tenant: Tenant) -> ParticipantGiven:
    """One participant, also one who has left."""
    return _given(context, await _stored(context, tenant, participant))


@router.patch("/participants/{participant}", tags=["Participants"], responses=responses(404, 409, 422))
async def change_participant(
    participant: str, body: ParticipantChange, context: Context, tenant: Tenant
) -> ParticipantGiven:
    """Mute, unmute, rename, or lower the hand of somebody who is in a session."""
    changes = body.changes()
    await _present(context, tenant, participant)
    if "name" in changes:
        await context.meetings.rename(participant, changes["name"])
    if "muted" in changes:
        await context.meetings.set_muted(participant, changes["muted"], "api")
    if "hand_raised" in changes:
        await context.meetings.set_hand(participant, False, "api")
    return ParticipantGiven.model_validate(context.meetings.participant(participant))


@router.delete("/participants/{participant}", status_code=204, tags=["Participants"], responses=responses(404, 409))
async def remove_participant(participant: str, context: Context, tenant: Tenant) -> Response:
    """Remove somebody from a session. A phone hears why before we hang up."""
    await _present(context, tenant, participant)
    await context.meetings.remove(participant, "api")
    return Response(status_code=204)


@router.post("/participants/{participant}/move", tags=["Participants"], responses=responses(404, 409, 410))
async def move_participant(
    participant: str, body: ParticipantMove, context: Context, tenant: Tenant
) -> ParticipantGiven:
    """Take somebody to another room, phones included; that is how breakout rooms work. There they have a new id."""
    await _present(context, tenant, participant)
    room = await context.rooms.read(tenant, body.room)
    return ParticipantGiven.model_validate(await context.meetings.move(participant, room, "api"))


async def _stored(context: Services, tenant: str, participant: str) -> Participant:
    found = await context.meeting_store.find_participant(tenant, participant)
    if found is None:
        raise NotFound(f"There is no participant {participant!r}.")
    return found


async def _present(context: Services, tenant: str, participant: str) -> None:
    if (await _stored(context, tenant, participant)).left_at is not None:
        raise Conflict("The participant has left.", "Only somebody who is in a session can be moderated.")


def _given(context: Services, participant: Participant) -> ParticipantGiven:
    if participant.left_at is None:
        with suppress(NotFound):  # it may have left between the two looks
            participant = context.meetings.participant(participant.id)
    return ParticipantGiven.model_validate(participant)
