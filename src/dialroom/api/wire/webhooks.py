"""Webhooks as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dialroom.api.wire.common import Change, Given, Line, Taken, Time
from dialroom.core.events import EVENT_TYPES, Event
from dialroom.webhooks.values import Endpoint


def _event_type(text: str) -> str:
    if text not in EVENT_TYPES:
        raise ValueError(f"there is no such type of event; use one of {', '.join(EVENT_TYPES)}")
    return text


EventType = Annotated[str, AfterValidator(_event_type), Field(json_schema_extra={"enum": list(EVENT_TYPES)})]
"""A type that is asked for: one that does not exist would find nothing."""


class WebhookCreate(Taken):
    """Where to send events."""

    url: str = Field(max_length=2000, examples=["https://example.com/dialroom"])
    events: list[str] = Field(
        default=["*"],
        max_length=50,
        description="Types to send: a type, a family such as `call.*`, or `*`.",
        examples=[["call.*", "participant.joined"]],
    )
    description: Line = Field(default="", max_length=300)


class WebhookChange(Change):
    """Fields to change; what is left out stays."""

    url: str | None = Field(default=None, max_length=2000)
    events: list[str] | None = Field(default=None, max_length=50)
    enabled: bool | None = Field(default=None, description="true sends what has been waiting.")
    description: Line | None = Field(default=None, max_length=300)


class WebhookGiven(Given):
    """Where events are sent, and how that goes."""

    id: str
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None = Field(description="Why we stopped, if it was us.")
    failures: int = Field(description="Failed requests since the last success.")
    retry_at: Time | None = Field(description="When a failing receiver is tried next.")
    created_at: Time


class WebhookWithSecret(WebhookGiven):
    """A webhook with the secret that signs its deliveries (Standard Webhooks). Shown here only."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class EventGiven(Given):
    """Something that happened, as webhooks tell it."""

    id: str
    type: str
    occurred_at: Time
    subject: str = Field(description="A call's or session's id. Events of one subject arrive in order.")
    data: dict[str, Any]


class DeliveryGiven(Given):
    """An event on its way to a webhook."""

    id: str
    event: str
    subject: str
    state: Literal["pending", "delivered", "dead"] = Field(description="`dead` after 72 h; it can be replayed.")
    attempts: int
    due: Time = Field(description="When it is tried next, while it is pending.")
    started_at: Time
    finished_at: Time | None


class AttemptGiven(Given):
    """One request to a receiver."""

    at: Time
    status: int | None = Field(description="The receiver's HTTP status; null if it did not answer.")
    error: str | None
    duration_ms: int


class Replayed(Given):
    """To how many webhooks an event is sent again."""

    deliveries: int


def webhook_given(endpoint: Endpoint) -> WebhookGiven:
    """An endpoint without its secret."""
    return WebhookGiven(**_fields(endpoint))


def webhook_with_secret(endpoint: Endpoint) -> WebhookWithSecret:
    """An endpoint with its secret."""
    return WebhookWithSecret(**_fields(endpoint), secret=endpoint.secret)


def event_given(event: Event) -> EventGiven:
    """An event as the API lists it."""
    return EventGiven(
        id=event.id, type=event.type, occurred_at=event.occurred_at, subject=event.subject, data=dict(event.data)
    )


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.filters),
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "failures": endpoint.failures,
        "retry_at": endpoint.retry_at,
        "created_at": endpoint.created_at,
    }
