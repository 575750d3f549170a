"""``/api/webhooks`` and ``/api/events``: where events go, whether they arrived, sending them again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dialroom.api.context import Asked, Context, Tenant
from dialroom.api.idempotency import IdempotencyKey, once
from dialroom.api.problem import responses
from dialroom.api.wire.common import PageOf
from dialroom.api.wire.webhooks import (
    DeliveryGiven,
    EventGiven,
    WebhookChange,
    WebhookCreate,
    WebhookGiven,
    WebhookWithSecret,
)

router = APIRouter(tags=["Webhooks"])


@router.post("/webhooks", status_code=201, responses=responses(422))
async def create_webhook(
    body: WebhookCreate, request: Request, context: Context, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> WebhookWithSecret:
    """Tell us where to send events. The answer holds the secret that signs them; it is not shown again."""

    async def create() -> WebhookWithSecret:
        made = await context.webhooks.create(
            tenant, url=body.url, events=tuple(body.events), description=body.description
        )
        return WebhookWithSecret.model_validate(made)

    return await once(context, request, tenant, idempotency_key, WebhookWithSecret, create)


@router.get("/webhooks", responses=responses(400))
async def list_webhooks(context: Context, tenant: Tenant, asked: Asked) -> PageOf[WebhookGiven]:
    """Your webhooks."""
    page = await context.webhooks.page(tenant, asked.cursor, asked.limit)
    return PageOf(items=[WebhookGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/webhooks/{webhook}", responses=responses(404))
async def read_webhook(webhook: str, context: Context, tenant: Tenant) -> WebhookGiven:
    """One webhook."""
    return WebhookGiven.model_validate(await context.webhooks.read(tenant, webhook))


@router.patch("/webhooks/{webhook}", responses=responses(404, 422))
async def change_webhook(webhook: str, body: WebhookChange, context: Context, tenant: Tenant) -> WebhookGiven:
    """Change a webhook."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return WebhookGiven.model_validate(await context.webhooks.change(tenant, webhook, **changes))


@router.delete("/webhooks/{webhook}", status_code=204, responses=responses(404))
async def delete_webhook(webhook: str, context: Context, tenant: Tenant) -> Response:
    """Send it nothing any more."""
    await context.webhooks.delete(tenant, webhook)
    return Response(status_code=204)


@router.get("/events", responses=responses(400))
async def list_events(
    context: Context,
    tenant: Tenant,
    asked: Asked,
    type_: Annotated[str | None, Query(alias="type", max_length=64)] = None,
    subject: Annotated[str | None, Query(max_length=64, description="A call's or a session's id.")] = None,
) -> PageOf[EventGiven]:
    """What happened, newest first, kept for 72 h and longer."""
    page = await context.webhooks.events(tenant, type_, subject, asked.cursor, asked.limit)
    return PageOf(items=[EventGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/webhooks/{webhook}/deliveries", responses=responses(400, 404))
async def list_deliveries(webhook: str, context: Context, tenant: Tenant, asked: Asked) -> PageOf[DeliveryGiven]:
    """What was sent, or is still to be, with every attempt."""
    page = await context.webhooks.deliveries(tenant, webhook, asked.cursor, asked.limit)
    return PageOf(items=[DeliveryGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.post("/events/{event}/replay", status_code=202, responses=responses(404))
async def replay_event(event: str, context: Context, tenant: Tenant) -> Response:
    """Send an event again, to every webhook that takes its type."""
    await context.webhooks.replay(tenant, event)
    return Response(status_code=202)
