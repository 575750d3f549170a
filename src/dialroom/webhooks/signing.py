"""Standard Webhooks: what is sent, and its signature over id, timestamp and body."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime

import msgspec
from standardwebhooks import Webhook

from dialroom.core.events import Event
from dialroom.webhooks.values import Endpoint

USER_AGENT = "dialroom-webhooks/1"


def new_secret() -> str:
    """A signing secret as Standard Webhooks write it: ``whsec_`` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def render(event: Event) -> bytes:
    """The body: the same bytes for every attempt."""
    return msgspec.json.encode(event.body())


def headers(event: Event, endpoint: Endpoint, body: bytes, now: datetime) -> Mapping[str, str]:
    """The request's headers. During a rotation both secrets sign. ``webhook-id`` stays the same for every attempt."""
    signing = [endpoint.secret]
    if endpoint.previous_secret and endpoint.previous_until and now < endpoint.previous_until:
        signing.append(endpoint.previous_secret)
    text = body.decode()
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": event.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event.id, now, text) for secret in signing),
    }
