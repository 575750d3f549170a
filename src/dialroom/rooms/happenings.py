"""What happens in sessions: told live to those who watch one, and as `Event` to the rest of the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dialroom.core.clock import isoformat
from dialroom.core.events import Event, new_event
from dialroom.rooms.values import LeftReason, Participant, Room, Session


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    participant: Participant


@dataclass(frozen=True, slots=True)
class ParticipantUpdated:
    participant: Participant


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    participant: Participant
    reason: LeftReason


@dataclass(frozen=True, slots=True)
class RoomUpdated:
    room: Room


@dataclass(frozen=True, slots=True)
class SessionEnded:
    session: Session


MeetingEvent = ParticipantJoined | ParticipantUpdated | ParticipantLeft | RoomUpdated | SessionEnded
MeetingListener = Callable[[MeetingEvent], None]


def session_data(session: Session) -> dict[str, Any]:
    """A session as JSON, as in the API and in events."""
    return {
        "id": session.id,
        "room": session.room,
        "started_at": isoformat(session.started_at),
        "ended_at": isoformat(session.ended_at) if session.ended_at else None,
    }


def participant_data(participant: Participant) -> dict[str, Any]:
    """A participant as JSON, as in the API and in events: for the organisation, so the number is not masked."""
    return {
        "id": participant.id,
        "room": participant.room,
        "session": participant.session,
        "identity": participant.identity,
        "name": participant.name,
        "kind": participant.kind,
        "role": participant.role,
        "muted": participant.muted,
        "hand_raised": participant.hand_raised,
        "phone_number": participant.phone_number,
        "call": participant.call,
        "joined_at": isoformat(participant.joined_at),
        "left_at": isoformat(participant.left_at) if participant.left_at else None,
        "left_reason": participant.left_reason,
    }


def session_event(type_: str, session: Session, at: datetime) -> Event:
    """``session.started`` or ``session.ended``."""
    return new_event(session.organisation, type_, at, session.id, {"session": session_data(session)})


def participant_event(type_: str, participant: Participant, at: datetime) -> Event:
    """``participant.joined``, ``participant.updated`` or ``participant.left``."""
    data = {"participant": participant_data(participant)}
    return new_event(participant.organisation, type_, at, participant.session, data)
