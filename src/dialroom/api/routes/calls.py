"""``/api/calls``: what happened in every call, also in refused ones, and what would happen."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from dialroom.api.context import Asked, Context, Tenant
from dialroom.api.problem import responses
from dialroom.api.wire.calls import CallExplanation, CallGiven, CallQuestion
from dialroom.api.wire.common import Moment, PageOf
from dialroom.calls.ports import CallFilter
from dialroom.core.errors import NotFound
from dialroom.routing.explain import asked_source, asked_user

router = APIRouter(prefix="/calls", tags=["Calls"])


@router.get("", responses=responses(400))
async def list_calls(
    context: Context,
    tenant: Tenant,
    asked: Asked,
    state: Annotated[Literal["received", "answered", "in_room", "ended"] | None, Query()] = None,
    room: Annotated[str | None, Query(max_length=64)] = None,
    session: Annotated[str | None, Query(max_length=64)] = None,
    number: Annotated[str | None, Query(max_length=64, description="From or to.")] = None,
    since: Annotated[Moment | None, Query(description="Received then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Received before.")] = None,
) -> PageOf[CallGiven]:
    """Calls, newest first."""
    if number and number.startswith(" "):  # a plus sign that was not written as %2B
        number = "+" + number[1:]
    which = CallFilter(state=state, room=room, session=session, number=number, since=since, until=until)
    page = await context.calls.page(tenant, which, limit=asked.limit, cursor=asked.cursor)
    return PageOf(items=[CallGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/{call}", responses=responses(404))
async def read_call(call: str, context: Context, tenant: Tenant) -> CallGiven:
    """One call's record: who, every step with its time, why it was decided so, its quality, how it ended."""
    found = await context.calls.get(tenant, call)
    if found is None:
        raise NotFound(f"There is no call {call!r}.")
    return CallGiven.model_validate(found)


@router.post("/explain", responses=responses(422))
async def explain_call(body: CallQuestion, context: Context, tenant: Tenant) -> CallExplanation:
    """What would become of a call, and why, without one being made."""
    to, from_, source = asked_user(body.to), asked_user(body.from_), asked_source(body.source)
    explanation = await context.explain(tenant, to, from_, source)
    return CallExplanation.model_validate(explanation)
