"""Call records as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dialroom.api.wire.common import Given, Taken, Time


class StepGiven(Given):
    """Something that happened in a call."""

    at: Time
    what: str = Field(examples=["answered"])
    detail: str = Field(examples=["opus"])


class TraceStepGiven(Given):
    """One thing that was looked at when it was decided what becomes of the call."""

    subject: str = Field(examples=["number +12025550100"])
    verdict: Literal["matched", "not_matched", "decided"]
    why: str = Field(examples=["request URI asks for “+12025550100”"])


class EndingGiven(Given):
    """How a call ended."""

    result: str = Field(examples=["completed"])
    reason: str = Field(examples=["caller_hung_up"])
    sip_code: int | None = Field(description="Status of the INVITE.", examples=[200])
    by: str = Field(examples=["caller"])


class StatisticsGiven(Given):
    """Quality as we measured it; `remote_…` as the phone reported it. Loss 0 to 1, times in ms, MOS 1 to 4.5."""

    packets_received: int = Field(examples=[2950])
    packets_sent: int = Field(examples=[2960])
    packets_lost: int = Field(description="Those that never came.", examples=[12])
    packets_late: int = Field(description="Those that came too late to be played.", examples=[3])
    packets_rejected: int = Field(description="Those that came from elsewhere than the phone.", examples=[0])
    loss: float = Field(description="Share of packets, 0 to 1.", examples=[0.004])
    jitter: float = Field(description="ms", examples=[2.6])
    remote_loss: float | None = Field(description="Share of our packets that the phone missed.", examples=[0.0])
    remote_jitter: float | None = Field(description="ms", examples=[1.9])
    round_trip: float | None = Field(description="ms", examples=[38.5])
    mos: float | None = Field(description="1 to 4.5, by the E-model.", examples=[4.3])


class CallGiven(Given):
    """One phone conversation, also one we refused."""

    id: str = Field(examples=["call_k3v7q2m5n4p6r7s2t3u4"])
    direction: Literal["inbound", "outbound"]
    state: Literal["received", "answered", "in_room", "ended"]
    from_number: str = Field(description="Or the user of a SIP device; empty if withheld.", examples=["+12025550176"])
    from_name: str = Field(examples=["Ada"])
    to_number: str = Field(examples=["+12025550100"])
    source: str = Field(examples=["udp:192.0.2.1:5060"])
    sip_call_id: str = Field(description="As in SIP logs of the other side.", examples=["a84b4c76e66710"])
    gateway: str | None = Field(description="Through which it came.", examples=["gw_k3v7q2m5n4p6r7s2t3u4"])
    number: str | None = Field(description="Which of yours was dialled.", examples=["num_k3v7q2m5n4p6r7s2t3u4"])
    room: str | None = Field(description="It came into.", examples=["room_k3v7q2m5n4p6r7s2t3u4"])
    session: str | None = Field(examples=["sess_k3v7q2m5n4p6r7s2t3u4"])
    participant: str | None = Field(examples=["part_k3v7q2m5n4p6r7s2t3u4"])
    language: str | None = Field(description="The caller heard last.", examples=["en"])
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

    to: str = Field(
        max_length=256, description="Number, SIP user, or a `sip:` or `tel:` URI.", examples=["+12025550100"]
    )
    from_: str = Field(default="", alias="from", max_length=256, description="Likewise.", examples=["+12025550176"])
    source: str = Field(default="127.0.0.1", max_length=64, description="The address it comes from.")


class CallExplanation(Given):
    """What would become of it."""

    outcome: Literal["ask_for_code", "join_room", "reject", "challenge", "stranger"]
    summary: str = Field(description="In one sentence.", examples=["The call would be refused with 404 Not Found."])
    trace: list[TraceStepGiven]
