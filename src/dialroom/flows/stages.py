"""How far a caller has come: what has to be kept so that another process can go on with the conversation."""

from __future__ import annotations

from datetime import datetime

import msgspec


class _Stage(msgspec.Struct, frozen=True, kw_only=True, tag_field="stage"):
    """Base of the stages. Rooms and participants are ids. Never holds a digit."""


class Arrived(_Stage, frozen=True, kw_only=True, tag="arrived"):
    """Not answered yet."""


class AskingCode(_Stage, frozen=True, kw_only=True, tag="asking_code"):
    """``wrong`` tries so far, PINs counted in."""

    wrong: int = 0


class AskingPin(_Stage, frozen=True, kw_only=True, tag="asking_pin"):
    """The code was right; ``wrong`` tries so far, codes counted in."""

    room: str
    wrong: int = 0


class Waiting(_Stage, frozen=True, kw_only=True, tag="waiting"):
    """Hears music until the room opens or ``until``."""

    room: str
    until: datetime


class InRoom(_Stage, frozen=True, kw_only=True, tag="in_room"):
    """In the session as ``participant``, hearing it at ``gain`` dB."""

    room: str
    session: str
    participant: str
    gain: float = 0.0


class Leaving(_Stage, frozen=True, kw_only=True, tag="leaving"):
    """Everything is decided; only the last words are being said."""

    reason: str


Stage = Arrived | AskingCode | AskingPin | Waiting | InRoom | Leaving
