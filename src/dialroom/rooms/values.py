"""Rooms, sessions, participants, numbers, gateways: what they are. Frozen; a change is a new value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal

Kind = Literal["web", "phone", "sip", "agent"]
Role = Literal["host", "guest"]
StartsWith = Literal["anyone", "host"]
LeftReason = Literal["left", "removed", "ended", "lost", "moved", "replaced"]
CodeMatchKind = Literal["none", "partial", "unique", "complete"]
Network = IPv4Network | IPv6Network

LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "ja", "zh", "hi", "ar")
"""Languages prompts are shipped in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """The tenant. ``token_secret`` signs its join tokens."""

    id: str
    name: str
    token_secret: str = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A named place to meet.

    ``slug`` is its link ``/r/{slug}``, unique on the server. ``code`` leads into it by phone and is unique within the
    organisation; it is None without dial-in. ``pin`` is asked for besides, if set. ``language`` is one of `LANGUAGES`.
    ``starts_with`` says who may begin a session; until then others wait. ``guests``: the room page gives anyone with
    the link a guest token; ``host_key`` makes it a host token.
    """

    id: str
    organisation: str
    name: str
    slug: str
    dial_in: bool
    code: str | None = field(repr=False)
    pin: str | None = field(repr=False)
    language: str
    opens_at: datetime | None
    expires_at: datetime | None
    max_participants: int
    locked: bool
    starts_with: StartsWith
    guests: bool
    host_key: str = field(repr=False)
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One meeting in a room, from the first participant to the last. Its id is also its media bridge's."""

    id: str
    organisation: str
    room: str
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """What a participant sends at the moment."""

    microphone: bool = False
    camera: bool = False
    screen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Someone's stay in a session.

    ``identity`` is the same person's over several stays (one stay at a time in a session). ``muted`` is the moderator's
    or the phone's own mute. ``phone_number`` is the caller's, unmasked; ``call`` its call record. ``connected`` is live
    state: False while a browser may still resume.
    """

    id: str
    organisation: str
    room: str
    session: str
    identity: str
    name: str
    kind: Kind
    role: Role
    muted: bool = False
    hand_raised: bool = False
    tracks: Tracks = Tracks()
    phone_number: str | None = None
    call: str | None = None
    connected: bool = True
    joined_at: datetime
    left_at: datetime | None = None
    left_reason: LeftReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Who asks to enter a room: see `Participant` for the fields."""

    kind: Kind
    name: str
    identity: str
    role: Role = "guest"
    phone_number: str | None = None
    call: str | None = None
    muted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A telephone number that reaches us.

    ``number`` is E.164, or the bare SIP user for an extension such as ``1000``. Calls go straight into ``room`` if it
    is set (an id), else to the question for a code if ``dial_in``, else nowhere. ``country`` is ISO 3166-1 or None.
    """

    id: str
    organisation: str
    number: str
    display: str
    country: str | None
    language: str | None
    dial_in: bool
    room: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A trunk: whose calls to let in.

    A call is the gateway's if it comes from one of ``addresses``; with a ``username`` it must besides pass digest
    authentication (or may come from anywhere, if there are no addresses). ``region`` reads national numbers.
    """

    id: str
    organisation: str
    name: str
    addresses: tuple[Network, ...]
    username: str | None
    password: str | None = field(repr=False)
    region: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CodeMatch:
    """What dialled digits mean so far.

    ``none``: no code begins with them. ``partial``: some do, none is exactly this. ``unique``: they are ``room``'s
    code, but a longer code begins with them too, so only ``#`` or silence settles it. ``complete``: they can only mean
    ``room``. ``next_length`` is how many digits the next code has that begins with them and goes on; 0 if none does.
    """

    kind: CodeMatchKind
    room: Room | None = None
    next_length: int = 0
