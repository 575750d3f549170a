"""What is known of one call: who, where to, every step with its time, and how it ended. Values only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from dialroom.core.ending import Ending
from dialroom.media.protocol import Statistics
from dialroom.routing.trace import TraceStep

Direction = Literal["inbound", "outbound"]
CallState = Literal["received", "answered", "in_room", "ended"]

MAX_STEPS = 300
"""A call that does more (a caller leaning on a key for an hour) keeps its first and its last steps."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened in a call. ``what`` is a stable word (``answered``, ``code_wrong``), ``detail`` is for
    people. Never holds a code, a PIN or a digit."""

    at: datetime
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One phone conversation with us, from first INVITE to the end; also one refused at the door.

    ``from_number`` and ``to_number`` are E.164 where they are numbers at all, else the SIP user as given. ``source`` is
    ``udp:192.0.2.1:5060``. ``codec`` is the RTP name. ``state`` only moves forward, except between ``answered`` and
    ``in_room``. ``ending`` is set exactly when ``state`` is ``ended``.
    """

    id: str
    organisation: str
    direction: Direction
    from_number: str
    to_number: str
    from_uri: str
    to_uri: str
    source: str
    sip_call_id: str
    received_at: datetime
    state: CallState = "received"
    from_name: str = ""
    gateway: str | None = None
    number: str | None = None
    room: str | None = None
    session: str | None = None
    participant: str | None = None
    leg: str | None = None
    language: str | None = None
    codec: str | None = None
    answered_at: datetime | None = None
    joined_at: datetime | None = None
    ended_at: datetime | None = None
    ending: Ending | None = None
    statistics: Statistics | None = None
    steps: tuple[Step, ...] = ()
    trace: tuple[TraceStep, ...] = ()

    def with_step(self, at: datetime, what: str, detail: str = "") -> CallRecord:
        """The record with one more step."""
        steps = (*self.steps, Step(at, what, detail))
        if len(steps) > MAX_STEPS:
            half = MAX_STEPS // 2
            steps = (*steps[:half], *steps[half + 1 :])
        return replace(self, steps=steps)
