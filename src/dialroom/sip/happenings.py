"""What an endpoint tells its user."""

from __future__ import annotations

from dataclasses import dataclass

from dialroom.sip.facts import RequestFacts
from dialroom.sip.session.events import SessionEvent
from dialroom.sip.session.session import Session


@dataclass(frozen=True, slots=True)
class SessionOffered:
    """Somebody calls."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionHappened:
    """Something happened to a session."""

    session: Session
    event: SessionEvent


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """An INVITE was refused at the door. `status` 0: dropped without an answer."""

    facts: RequestFacts
    status: int
    reason: str


Happening = SessionOffered | SessionHappened | RequestRefused
