"""Sessions and participants as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dialroom.api.wire.common import Change, Given, Taken, Time

Kind = Literal["web", "phone", "sip", "agent"]
Role = Literal["host", "guest"]


class SessionGiven(Given):
    """One meeting in a room."""

    id: str = Field(examples=["sess_k3v7q2m5n4p6r7s2t3u4"])
    room: str
    started_at: Time
    ended_at: Time | None


class ParticipantGiven(Given):
    """Somebody's stay in a session."""

    id: str = Field(examples=["part_k3v7q2m5n4p6r7s2t3u4"])
    room: str
    session: str
    identity: str = Field(description="The same person's over several stays.")
    name: str = Field(examples=["Ada"])
    kind: Kind
    role: Role
    muted: bool
    hand_raised: bool
    phone_number: str | None = Field(
        description="The caller's, if the participant is a phone.", examples=["+12025550176"]
    )
    call: str | None = Field(description="The record of the participant's call.")
    connected: bool
    joined_at: Time
    left_at: Time | None
    left_reason: Literal["left", "removed", "ended", "lost", "moved", "replaced"] | None


class ParticipantChange(Change):
    """What to change about a participant."""

    muted: bool | None = Field(default=None, description="Mutes or unmutes; phones hear that it was the host.")
    name: str | None = Field(default=None, min_length=1, max_length=120)
    hand_raised: Literal[False] | None = Field(default=None, description="false lowers the hand.")


class ParticipantMove(Taken):
    """Where a participant is to go, for example a breakout room."""

    room: str = Field(description="The id of another room of yours.", examples=["room_k3v7q2m5n4p6r7s2t3u4"])


class TokenCreate(Taken):
    """Who the token lets in, and as what."""

    name: str = Field(min_length=1, max_length=120, examples=["Ada"])
    identity: str | None = Field(default=None, max_length=128, description="Drawn if left out.", examples=["user-17"])
    role: Role = "guest"
    expires_in: int = Field(default=3600, ge=60, le=7 * 24 * 3600, description="Seconds.")


class TokenGiven(Given):
    """A join token."""

    token: str
    identity: str
    expires_at: Time
