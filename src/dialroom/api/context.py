"""What every route gets: the services, the organisation whose key was sent, where a page starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dialroom.auth.idempotency import Idempotency
from dialroom.auth.keys import ApiKeys
from dialroom.auth.tokens import Tokens
from dialroom.calls.ports import CallStore
from dialroom.config import Config
from dialroom.core.bus import EventBus
from dialroom.core.clock import Clock
from dialroom.core.errors import Unauthenticated
from dialroom.media.plane import MediaPlane
from dialroom.rooms.directory import Rooms
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.ports import GatewayStore, MeetingStore, NumberStore
from dialroom.routing.explain import Explanation
from dialroom.webhooks.endpoints import Endpoints
from dialroom.webhooks.ports import OutboxStore

Explain = Callable[[str, str, str, str], Awaitable[Explanation]]
"""(organisation, to, from, source): what would become of such a call, as this organisation may know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the API is a door to. ``ready`` says whether calls can be answered (for ``/healthz``)."""

    config: Config
    clock: Clock
    bus: EventBus
    keys: ApiKeys
    tokens: Tokens
    rooms: Rooms
    meetings: Meetings
    meeting_store: MeetingStore
    numbers: NumberStore
    gateways: GatewayStore
    calls: CallStore
    webhooks: Endpoints
    outbox: OutboxStore
    idempotency: Idempotency
    media: MediaPlane
    explain: Explain
    ready: Callable[[], dict[str, bool]]


def services(request: Request) -> Services:
    """The services of the application."""
    found: Services = request.app.state.services
    return found


_bearer = HTTPBearer(auto_error=False, description="An API key, `dr_…`.")


async def organisation(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str:
    """The organisation whose key the request carries. Raises Unauthenticated."""
    if credentials is None:
        sent = request.headers.get("authorization")
        raise Unauthenticated(
            "The Authorization header is not `Bearer` and a key." if sent else "The request carries no API key."
        )
    return (await services(request).keys.authenticate(credentials.credentials)).organisation


async def refuse_unknown_parameters(request: Request) -> None:
    """A query parameter we do not know is a typo, as an unknown field of a body is: a filter that is not applied gives
    more than was asked for. Raises RequestValidationError."""
    known = _query_parameters(request.scope["route"].dependant)
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError([{"type": "extra_forbidden", "loc": ("query", name)} for name in unknown])


def _query_parameters(dependant: Dependant) -> set[str]:
    own = {each.alias for each in dependant.query_params}
    return own.union(*map(_query_parameters, dependant.dependencies))


@dataclass(frozen=True, slots=True)
class PageAsked:
    """Which part of a list is wanted."""

    cursor: Annotated[str | None, Query(max_length=128, description="`next_cursor` of the page before.")] = None
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50


Context = Annotated[Services, Depends(services)]
Tenant = Annotated[str, Depends(organisation)]
Asked = Annotated[PageAsked, Depends()]
