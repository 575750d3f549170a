"""Webhooks as JSON."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from dialroom.api.wire.common import Given, Taken, Time


class WebhookCreate(Taken):
    """Where to send events."""

    url: str = Field(max_length=2000, examples=["https://example.com/dialroom"])
    events: list[str] = Field(default_factory=list, max_length=50, description="Types to send; empty for all.")
    description: str = Field(default="", max_length=200)


class WebhookChange(Taken):
    """Fields to change; what is left out stays."""

    url: str | None = Field(default=None, max_length=2000)
    events: list[str] | None = Field(default=None, max_length=50)
    enabled: bool | None = None
    description: str | None = Field(default=None, max_length=200)


class WebhookGiven(Given):
    """Where events are sent."""

    id: str
    url: str
    events: list[str]
    enabled: bool
    description: str
    created_at: Time


class WebhookWithSecret(WebhookGiven):
    """A new webhook with the secret that signs its deliveries (Standard Webhooks)."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class EventGiven(Given):
    """Something that happened, as webhooks tell it."""

    id: str
    type: str
    occurred_at: Time
    subject: str = Field(description="Events of one subject arrive in order.")
    data: dict[str, Any]


class AttemptGiven(Given):
    """One try to deliver an event."""

    at: Time
    status: int | None = Field(description="The receiver's HTTP status; null if it did not answer.")
    error: str | None
    duration_ms: int


class DeliveryGiven(Given):
    """An event on its way to a webhook."""

    id: str
    event: str
    type: str
    state: str = Field(examples=["delivered"], description="pending, delivered, or dead after 72 h.")
    attempts: list[AttemptGiven]
    next_attempt_at: Time | None
    created_at: Time
