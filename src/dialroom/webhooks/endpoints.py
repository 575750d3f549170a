"""Endpoints: set up, changed, their secrets rotated; and what went to them, to look up and to replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Protocol

from dialroom.core.answers import Answer, unanswered
from dialroom.core.clock import Clock
from dialroom.core.errors import Conflict, Invalid, NotFound
from dialroom.core.ids import new_id
from dialroom.core.paging import Page
from dialroom.net.http import Network, check_url
from dialroom.webhooks.filters import check_filters
from dialroom.webhooks.ports import EndpointStore, OutboxStore
from dialroom.webhooks.signing import new_secret
from dialroom.webhooks.values import Endpoint

MAX_ENDPOINTS: Final = 20
ROTATION: Final = timedelta(hours=24)
CHANGEABLE: Final = frozenset({"url", "filters", "description", "enabled"})


class WebhookStore(EndpointStore, OutboxStore, Protocol):
    """Both ports."""


class Endpoints:
    """The webhook endpoints of all organisations. Every method sees one organisation's only."""

    def __init__(self, store: WebhookStore, clock: Clock, allowed: Sequence[Network] = ()) -> None:
        self._store = store
        self._clock = clock
        self._allowed = tuple(allowed)

    async def create(
        self,
        organisation: str,
        url: str,
        filters: Sequence[str] = ("*",),
        description: str = "",
        *,
        answer: Answer[Endpoint] = unanswered,
    ) -> Endpoint:
        """A new endpoint, with a secret. Raises Invalid, and Conflict when there are too many."""
        if await self._store.count_endpoints(organisation) >= MAX_ENDPOINTS:
            raise Conflict(f"There are {MAX_ENDPOINTS} webhook endpoints already.", "Delete one you do not need.")
        endpoint = Endpoint(
            id=new_id("whk"),
            organisation=organisation,
            url=url,
            description=description,
            filters=tuple(filters),
            enabled=True,
            secret=new_secret(),
            created_at=self._clock.now(),
        )
        endpoint = self._checked(endpoint)
        await self._store.create_endpoint(endpoint, answer(endpoint))
        return endpoint

    async def read(self, organisation: str, endpoint: str) -> Endpoint:
        """Raises NotFound."""
        found = await self._store.find_endpoint(organisation, endpoint)
        if found is None:
            raise NotFound(f"There is no webhook endpoint {endpoint!r}.")
        return found

    async def page(self, organisation: str, cursor: str | None = None, limit: int | None = None) -> Page[Endpoint]:
        """Newest first. Raises InvalidCursor."""
        return await self._store.page_endpoints(organisation, cursor, limit)

    async def change(self, organisation: str, endpoint: str, /, **changes: Any) -> Endpoint:
        """Change the named fields (see `CHANGEABLE`). Enabling sends what has been waiting.

        Raises NotFound, Invalid.
        """
        unknown = sorted(set(changes) - CHANGEABLE)
        if unknown:
            raise Invalid(f"A webhook endpoint has no changeable field {unknown[0]!r}.", field=unknown[0])

        def change(before: Endpoint) -> Endpoint:
            after = self._checked(replace(before, **changes))
            return replace(after, disabled_reason=None) if after.enabled else after

        return await self._store.change_endpoint(organisation, endpoint, change)

    async def rotate_secret(self, organisation: str, endpoint: str) -> Endpoint:
        """A new secret; for 24 hours the old one signs as well. Raises NotFound."""
        secret, until = new_secret(), self._clock.now() + ROTATION

        def rotate(before: Endpoint) -> Endpoint:
            return replace(before, secret=secret, previous_secret=before.secret, previous_until=until)

        return await self._store.change_endpoint(organisation, endpoint, rotate)

    async def delete(self, organisation: str, endpoint: str) -> None:
        """With its deliveries. Raises NotFound."""
        await self._store.delete_endpoint(organisation, endpoint)

    async def replay(self, organisation: str, event: str, endpoint: str | None = None) -> int:
        """Send an event again, to one endpoint or to all that want it; says to how many. Raises NotFound."""
        return await self._store.replay(organisation, event, endpoint, self._clock.now())

    async def replay_dead(self, organisation: str, endpoint: str) -> int:
        """Send again all that was given up for an endpoint; says how many. Raises NotFound."""
        await self.read(organisation, endpoint)
        return await self._store.replay_dead(organisation, endpoint, self._clock.now())

    def _checked(self, endpoint: Endpoint) -> Endpoint:
        if len(endpoint.description) > 300:
            raise Invalid("A description has at most 300 characters.", field="description")
        url = check_url(endpoint.url, self._allowed)
        return replace(endpoint, url=url, filters=check_filters(endpoint.filters))
