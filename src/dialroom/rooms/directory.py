"""The rooms there are: made, found by id, link or code, changed, deleted."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec

from dialroom.core.answers import Answer, unanswered
from dialroom.core.clock import Clock
from dialroom.core.errors import CodeTaken, Invalid, NotFound, SlugTaken
from dialroom.core.ids import new_id
from dialroom.core.paging import Page
from dialroom.rooms.codes import check_code, check_pin_shape, code_length, draw_code
from dialroom.rooms.names import MAX_NAME
from dialroom.rooms.ports import RoomStore
from dialroom.rooms.values import LANGUAGES, CodeMatch, Number, Room, StartsWith

MAX_PARTICIPANTS: Final = 5000
MAX_METADATA_BYTES: Final = 4096
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,62}[a-z0-9])")
_SLUG_LETTERS = "abcdefghjkmnpqrstuvwxyz"
_DRAWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRoom:
    """What may be said when a room is made. None for ``code`` and ``slug``: one is drawn."""

    name: str
    slug: str | None = None
    dial_in: bool = True
    code: str | None = field(default=None, repr=False)
    pin: str | None = field(default=None, repr=False)
    language: str = "en"
    opens_at: datetime | None = None
    expires_at: datetime | None = None
    max_participants: int = 100
    locked: bool = False
    starts_with: StartsWith = "anyone"
    guests: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)


CHANGEABLE: Final = frozenset(NewRoom.__dataclass_fields__)
"""The fields `Rooms.change` takes."""

ChangeListener = Callable[[Room | None, Room], None]


class Rooms:
    """Rooms of all organisations. Every method takes the organisation and sees only its rooms."""

    def __init__(self, store: RoomStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._listeners: list[ChangeListener] = []
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def watch(self, listener: ChangeListener) -> None:
        """Call `listener(room now or None if deleted, room before)` after each change."""
        self._listeners.append(listener)

    async def create(self, organisation: str, new: NewRoom, *, answer: Answer[Room] = unanswered) -> Room:
        """Make a room. Raises Invalid, CodeTaken, SlugTaken."""
        room = new_room(organisation, new, self._clock.now())

        async def create(room: Room) -> None:
            await self._store.create(room, answer(room))

        return await self._write(room, create, draw_slugs=new.slug is None)

    async def read(self, organisation: str, room: str) -> Room:
        """Raises NotFound."""
        found = await self._store.find(organisation, room)
        if found is None:
            raise NotFound(f"There is no room {room!r}.")
        return found

    async def by_slug(self, slug: str) -> Room:
        """The room behind a link. Raises NotFound."""
        found = await self._store.find_by_slug(slug) if _SLUG.fullmatch(slug) else None
        if found is None:
            raise NotFound("There is no room at this link.", "Check the link you were given.")
        return found

    async def page(self, organisation: str, cursor: str | None = None, limit: int | None = None) -> Page[Room]:
        """Rooms, newest first. Raises InvalidCursor."""
        return await self._store.page(organisation, cursor, limit)

    async def change(self, organisation: str, room: str, /, **changes: Any) -> Room:
        """Change the named fields (see `CHANGEABLE`). ``dial_in=True`` without a code draws one.

        Raises NotFound, Invalid, CodeTaken, SlugTaken.
        """
        unknown = sorted(set(changes) - CHANGEABLE)
        if unknown:
            raise Invalid(f"A room has no changeable field {unknown[0]!r}.", field=unknown[0])
        async with self._changing.setdefault(room, asyncio.Lock()):
            before = await self.read(organisation, room)
            after = replace(before, **changes, updated_at=self._clock.now())
            if not after.dial_in:
                _check_code_is_used(changes.get("code"), dial_in=False)
                after = replace(after, code=None)
            check_room(after)
            after = await self._write(after, self._store.change, draw_slugs=False)
        self._tell(after, before)
        return after

    async def delete(self, organisation: str, room: str) -> None:
        """Delete a room; a running session in it ends. Raises NotFound."""
        async with self._changing.setdefault(room, asyncio.Lock()):
            before = await self.read(organisation, room)
            await self._store.delete(organisation, room)
        self._tell(None, before)

    async def match_code(self, number: Number, digits: str) -> CodeMatch:
        """What `digits`, dialled so far by somebody who called `number`, mean."""
        if not digits or len(digits) > 32 or not (digits.isascii() and digits.isdecimal()):
            return CodeMatch("none")
        rooms = await self._store.find_by_code_prefix(number.organisation, digits, 2)
        if not rooms:
            return CodeMatch("none")
        longer = [len(room.code or "") for room in rooms if room.code != digits]
        if rooms[0].code != digits:
            return CodeMatch("partial", next_length=longer[0])
        return CodeMatch("unique", rooms[0], longer[0]) if longer else CodeMatch("complete", rooms[0])

    def check_pin(self, room: Room, pin: str) -> bool:
        """Whether `pin` opens the room, in constant time. A room without PIN is opened by anything."""
        return room.pin is None or hmac.compare_digest(_bytes(room.pin), _bytes(pin))

    def check_host_key(self, room: Room, key: str) -> bool:
        """Whether `key` makes its bearer a host, in constant time."""
        return hmac.compare_digest(_bytes(room.host_key), _bytes(key))

    async def _write(self, room: Room, write: Callable[[Room], Any], *, draw_slugs: bool) -> Room:
        draw_codes = room.dial_in and room.code is None
        for _ in range(_DRAWS):
            if draw_codes:
                room = replace(room, code=await self._free_code(room.organisation))
            try:
                await write(room)
            except CodeTaken:
                if not draw_codes:
                    raise
            except SlugTaken:
                if not draw_slugs:
                    raise
                room = replace(room, slug=draw_slug())
            else:
                return room
        raise CodeTaken("No free dial-in code was found.", "Delete rooms that are not used any more.")

    async def _free_code(self, organisation: str) -> str:
        length = code_length(await self._store.count_dial_in(organisation))
        for _ in range(_DRAWS):
            code = draw_code(length)
            if not await self._store.codes_related_to(organisation, code):
                return code
        raise CodeTaken("No free dial-in code was found.", "Delete rooms that are not used any more.")

    def _tell(self, after: Room | None, before: Room) -> None:
        for listener in self._listeners:
            listener(after, before)


def new_room(organisation: str, new: NewRoom, now: datetime) -> Room:
    """The room that `new` describes; without a given code it has none yet. Raises Invalid."""
    room = Room(
        id=new_id("room"),
        organisation=organisation,
        name=new.name.strip(),
        slug=new.slug or draw_slug(),
        dial_in=new.dial_in,
        code=new.code if new.dial_in else None,
        pin=new.pin or None,
        language=new.language,
        opens_at=new.opens_at,
        expires_at=new.expires_at,
        max_participants=new.max_participants,
        locked=new.locked,
        starts_with=new.starts_with,
        guests=new.guests,
        host_key=secrets.token_urlsafe(24),
        metadata=dict(new.metadata),
        created_at=now,
        updated_at=now,
    )
    _check_code_is_used(new.code, dial_in=new.dial_in)
    check_room(room)
    return room


def draw_slug() -> str:
    """A link nobody guesses: ``abc-defg-hjk``, 45 bits."""
    letters = "".join(secrets.choice(_SLUG_LETTERS) for _ in range(10))
    return f"{letters[:3]}-{letters[3:7]}-{letters[7:]}"


def check_room(room: Room) -> None:
    """Raise Invalid, naming the field, if the room cannot be."""
    if not 1 <= len(room.name) <= MAX_NAME or not room.name.isprintable():
        raise Invalid(f"A name has 1 to {MAX_NAME} printable characters.", field="name")
    if not _SLUG.fullmatch(room.slug):
        raise Invalid("A slug has 3 to 64 lower-case letters, digits and inner hyphens.", field="slug")
    if room.code is not None:
        check_code(room.code)
    if room.pin is not None:
        check_pin_shape(room.pin)
    if room.language not in LANGUAGES:
        raise Invalid(f"There are no prompts in {room.language!r}.", f"Use one of {', '.join(LANGUAGES)}.", "language")
    if not 1 <= room.max_participants <= MAX_PARTICIPANTS:
        raise Invalid(f"A room holds 1 to {MAX_PARTICIPANTS} participants.", field="max_participants")
    if room.starts_with not in ("anyone", "host"):
        raise Invalid("A session starts with `anyone` or with a `host`.", field="starts_with")
    _check_times(room)
    _check_metadata(room.metadata)


def _check_code_is_used(code: str | None, *, dial_in: bool) -> None:
    if code is not None and not dial_in:
        raise Invalid("Without dial-in no code leads into the room.", "Leave `code` out, or set `dial_in`.", "code")


def _check_times(room: Room) -> None:
    for name, at in (("opens_at", room.opens_at), ("expires_at", room.expires_at)):
        if at is not None and at.tzinfo is None:
            raise Invalid("The time has no zone.", "Write it as 2026-11-21T12:00:00Z.", name)
        if at is not None and not 2000 <= at.year < 9999:  # so that it is a time in every zone
            raise Invalid("The time is out of range.", "Use a year from 2000 to 9998.", name)
    if room.opens_at and room.expires_at and room.expires_at <= room.opens_at:
        raise Invalid("The room would expire before it opens.", "Set `expires_at` after `opens_at`.", "expires_at")


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    try:
        size = len(msgspec.json.encode(dict(metadata)))
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("The metadata is not JSON.", field="metadata") from error
    if size > MAX_METADATA_BYTES:
        raise Invalid(f"The metadata takes {size} bytes; {MAX_METADATA_BYTES} are allowed.", field="metadata")


def _bytes(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")
