"""A call as JSON, and the events that tell of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from dialroom.calls.record import CallRecord
from dialroom.core.clock import isoformat
from dialroom.core.events import Event, new_event


def call_data(record: CallRecord) -> dict[str, Any]:
    """A call as in events: for its organisation, so numbers are not masked. Steps and trace are in the API only."""
    ending = record.ending
    return {
        "id": record.id,
        "direction": record.direction,
        "state": record.state,
        "from_number": record.from_number,
        "from_name": record.from_name,
        "to_number": record.to_number,
        "source": record.source,
        "sip_call_id": record.sip_call_id,
        "gateway": record.gateway,
        "number": record.number,
        "room": record.room,
        "session": record.session,
        "participant": record.participant,
        "codec": record.codec,
        "received_at": isoformat(record.received_at),
        "answered_at": _time(record.answered_at),
        "joined_at": _time(record.joined_at),
        "ended_at": _time(record.ended_at),
        "ending": msgspec.to_builtins(ending) if ending else None,
        "statistics": msgspec.to_builtins(record.statistics) if record.statistics else None,
    }


def call_event(type_: str, record: CallRecord, at: datetime) -> Event:
    """``call.received``, ``call.answered``, ``call.joined``, ``call.refused`` or ``call.ended``."""
    return new_event(record.organisation, type_, at, record.id, {"call": call_data(record)})


def _time(at: datetime | None) -> str | None:
    return isoformat(at) if at else None
