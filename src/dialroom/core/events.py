"""Something that happened, as others hear of it: webhooks, the live event socket, the log of deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from dialroom.core.clock import isoformat
from dialroom.core.ids import new_id

EVENT_TYPES: Final[Mapping[str, str]] = {
    "session.started": "Somebody entered an empty room: a session began.",
    "session.ended": "The session is over; nobody is in it.",
    "participant.joined": "Somebody entered a session.",
    "participant.updated": "A participant's name, mute or raised hand changed.",
    "participant.left": "Somebody left a session; `left_reason` says how.",
    "call.received": "A phone call reached us.",
    "call.answered": "We answered the call.",
    "call.joined": "The caller is in the room and can be heard.",
    "call.refused": "We did not take the call; its record says why.",
    "call.ended": "The call is over; its record says how.",
    "alarm.code_guessing": "So many wrong codes or PINs were tried that callers are slowed down or turned away.",
}
"""Every type of event, with what it means. Stable: types are added, never renamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened in an organisation.

    ``subject`` is the order key: events with the same subject (a session's or a call's id) reach a webhook in the
    order they happened. ``data`` is JSON as the API writes it; nothing secret may be in it.
    """

    id: str
    organisation: str
    type: str
    occurred_at: datetime
    subject: str
    data: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        """What a receiver sees: Standard Webhooks' ``type``, ``timestamp``, ``data``."""
        return {"type": self.type, "timestamp": isoformat(self.occurred_at), "data": dict(self.data)}


def new_event(organisation: str, type_: str, at: datetime, subject: str, data: Mapping[str, Any]) -> Event:
    """An event with a fresh id. Raises ValueError for a type that is not in `EVENT_TYPES`."""
    if type_ not in EVENT_TYPES:
        raise ValueError(f"unknown event type {type_!r}")
    return Event(id=new_id("evt"), organisation=organisation, type=type_, occurred_at=at, subject=subject, data=data)
