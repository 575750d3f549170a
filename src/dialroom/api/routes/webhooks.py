"""``/api/webhooks`` and ``/api/events``: where events go, whether they arrived, sending them again."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from dialroom.api.context import Asked, Context, Tenant
from dialroom.api.idempotency import IdempotencyKey, once
from dialroom.api.problem import responses
from dialroom.api.wire.common import PageOf
from dialroom.api.wire.webhooks import (
    AttemptGiven,
    DeliveryGiven,
    EventGiven,
    EventType,
    Replayed,
    WebhookChange,
    WebhookCreate,
    WebhookGiven,
    WebhookWithSecret,
    event_given,
    webhook_given,
    webhook_with_secret,
)
from dialroom.core.answers import Answer
from dialroom.core.errors import NotFound

router = APIRouter(tags=["Webhooks"])


@router.post("/webhooks", status_code=201, responses=responses(409, 422))
async def create_webhook(
    body: WebhookCreate, request: Request, context: Context, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> WebhookWithSecret:
    """Tell us where to send events. The answer holds the secret that signs them; it is not shown again."""

    async def create(answer: Answer[WebhookWithSecret]) -> WebhookWithSecret:
        made = await context.webhooks.create(
            tenant, body.url, body.events, body.description, answer=lambda made: answer(webhook_with_secret(made))
        )
        return webhook_with_secret(made)

    return await once(context, request, tenant, idempotency_key, WebhookWithSecret, create)


@router.get("/webhooks", responses=responses(400))
async def list_webhooks(context: Context, tenant: Tenant, asked: Asked) -> PageOf[WebhookGiven]:
    """Your webhooks, newest first."""
    page = await context.webhooks.page(tenant, asked.cursor, asked.limit)
    return PageOf(items=[webhook_given(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/webhooks/{webhook}", responses=responses(404))
async def read_webhook(webhook: str, context: Context, tenant: Tenant) -> WebhookGiven:
    """One webhook."""
    return webhook_given(await context.webhooks.read(tenant, webhook))


@router.patch("/webhooks/{webhook}", responses=responses(404, 422))
async def change_webhook(webhook: str, body: WebhookChange, context: Context, tenant: Tenant) -> WebhookGiven:
    """Change a webhook."""
    changes = body.changes()
    if "events" in changes:
        changes["filters"] = tuple(changes.pop("events"))
    return webhook_given(await context.webhooks.change(tenant, webhook, **changes))


@router.post("/webhooks/{webhook}/rotate-secret", responses=responses(404))
async def rotate_webhook_secret(webhook: str, context: Context, tenant: Tenant) -> WebhookWithSecret:
    """Draw a new secret. For 24 hours the old one signs as well, so that nothing is missed."""
    return webhook_with_secret(await context.webhooks.rotate_secret(tenant, webhook))


@router.delete("/webhooks/{webhook}", status_code=204, responses=responses(404))
async def delete_webhook(webhook: str, context: Context, tenant: Tenant) -> Response:
    """Send it nothing any more."""
    await context.webhooks.delete(tenant, webhook)
    return Response(status_code=204)


@router.post("/webhooks/{webhook}/replay", status_code=202, responses=responses(404))
async def replay_dead_deliveries(webhook: str, context: Context, tenant: Tenant) -> Replayed:
    """Send again all that was given up for this webhook."""
    return Replayed(deliveries=await context.webhooks.replay_dead(tenant, webhook))


@router.get("/deliveries", responses=responses(400))
async def list_deliveries(
    context: Context,
    tenant: Tenant,
    asked: Asked,
    webhook: Annotated[str | None, Query(max_length=64)] = None,
    event: Annotated[str | None, Query(max_length=64)] = None,
    state: Annotated[Literal["pending", "delivered", "dead"] | None, Query()] = None,
) -> PageOf[DeliveryGiven]:
    """What was sent, or is still to be, newest first."""
    page = await context.outbox.page_deliveries(
        tenant, endpoint=webhook, event=event, state=state, cursor=asked.cursor, limit=asked.limit
    )
    return PageOf(items=[DeliveryGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/deliveries/{delivery}/attempts", responses=responses(400, 404))
async def list_attempts(delivery: str, context: Context, tenant: Tenant, asked: Asked) -> PageOf[AttemptGiven]:
    """The requests of a delivery and what the receiver answered, newest first."""
    page = await context.outbox.page_attempts(tenant, delivery, asked.cursor, asked.limit)
    return PageOf(items=[AttemptGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/events", responses=responses(400))
async def list_events(
    context: Context,
    tenant: Tenant,
    asked: Asked,
    type_: Annotated[EventType | None, Query(alias="type")] = None,
) -> PageOf[EventGiven]:
    """What happened, newest first, kept for 30 days."""
    page = await context.outbox.page_events(tenant, type_, asked.cursor, asked.limit)
    return PageOf(items=[event_given(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/events/{event}", responses=responses(404))
async def read_event(event: str, context: Context, tenant: Tenant) -> EventGiven:
    """One event."""
    found = await context.outbox.find_event(tenant, event)
    if found is None:
        raise NotFound(f"There is no event {event!r}.")
    return event_given(found)


@router.post("/events/{event}/replay", status_code=202, responses=responses(404))
async def replay_event(event: str, context: Context, tenant: Tenant) -> Replayed:
    """Send an event again, to every webhook that takes its type."""
    return Replayed(deliveries=await context.webhooks.replay(tenant, event))
