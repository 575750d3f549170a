"""Call records as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dialroom.api.wire.common import Given, Taken, Time


class StepGiven(Given):
    """Something that happened in a call."""

    at: Time
    what: str = Field(examples=["answered"])
    detail: str


class TraceStepGiven(Given):
    """One thing that was looked at when it was decided what becomes of the call."""

    subject: str = Field(examples=["number +12025550100"])
    verdict: Literal["matched", "not_matched", "decided"]
    why: str = Field(examples=["request URI asks for “+12025550100”"])


class EndingGiven(Given):
    """How a call ended."""

    result: str = Field(examples=["completed"])
    reason: str = Field(examples=["caller_hung_up"])
    sip_code: int | None
    by: str = Field(examples=["caller"])


class StatisticsGiven(Given):
    """Quality as we measured it; `remote_…` as the phone reported it. Loss 0 to 1, times in ms, MOS 1 to 4.5."""

    packets_received: int
    packets_sent: int
    packets_lost: int
    packets_late: int
    packets_rejected: int
    loss: float
    jitter: float
    remote_loss: float | None
    remote_jitter: float | None
    round_trip: float | None
    mos: float | None


class CallGiven(Given):
    """One phone conversation, also one we refused."""

    id: str = Field(examples=["call_k3v7q2m5n4p6r7s2t3u4"])
    direction: Literal["inbound", "outbound"]
    state: Literal["received", "answered", "in_room", "ended"]
    from_number: str = Field(examples=["+12025550176"])
    from_name: str
    to_number: str = Field(examples=["+12025550100"])
    source: str = Field(examples=["udp:192.0.2.1:5060"])
    sip_call_id: str
    gateway: str | None
    number: str | None
    room: str | None
    session: str | None
    participant: str | None
    language: str | None
    codec: str | None = Field(examples=["PCMU"])
    received_at: Time
    answered_at: Time | None
    joined_at: Time | None
    ended_at: Time | None
    ending: EndingGiven | None
    statistics: StatisticsGiven | None
    steps: list[StepGiven]
    trace: list[TraceStepGiven]


class CallQuestion(Taken):
    """A call that might come."""

    to: str = Field(max_length=64, description="Number or SIP user.", examples=["+12025550100"])
    from_: str = Field(default="", alias="from", max_length=64, examples=["+12025550176"])
    source: str = Field(default="127.0.0.1", max_length=64, description="The address it comes from.")


class CallExplanation(Given):
    """What would become of it."""

    outcome: Literal["ask_for_code", "join_room", "reject", "challenge", "stranger"]
    summary: str
    trace: list[TraceStepGiven]
