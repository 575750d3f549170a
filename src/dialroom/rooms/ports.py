"""What rooms need of a store. Every change takes the events it causes and writes both in one transaction.

After the commit the store publishes the events on the bus. Each method raises StoreUnavailable when the database cannot
be reached; nothing was changed then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from dialroom.core.answers import KeptAnswer
from dialroom.core.events import Event
from dialroom.core.paging import Page
from dialroom.rooms.values import Gateway, Number, Organisation, Participant, Room, Session


class OrganisationStore(Protocol):
    async def find(self, organisation: str) -> Organisation | None: ...

    async def list(self) -> tuple[Organisation, ...]: ...

    async def create(self, organisation: Organisation) -> None: ...


class RoomStore(Protocol):
    async def find(self, organisation: str, room: str) -> Room | None: ...

    async def find_by_slug(self, slug: str) -> Room | None: ...

    async def find_by_code_prefix(self, organisation: str, digits: str, limit: int) -> tuple[Room, ...]:
        """Dial-in rooms whose code begins with `digits`, shortest code first."""

    async def codes_related_to(self, organisation: str, code: str) -> tuple[str, ...]:
        """Codes in use that begin with `code` or that `code` begins with."""

    async def count_dial_in(self, organisation: str) -> int: ...

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Room]:
        """Newest first. Raises InvalidCursor."""

    async def create(self, room: Room, answer: KeptAnswer | None = None) -> None:
        """With the answer to its request, in one transaction. Raises CodeTaken, SlugTaken, IdempotencyInProgress."""

    async def change(self, room: Room) -> None:
        """Write all fields of a room. Raises NotFound, CodeTaken, SlugTaken."""

    async def delete(self, organisation: str, room: str) -> None:
        """Its sessions and their participants stay readable. Raises NotFound."""


class NumberStore(Protocol):
    async def find(self, organisation: str, number: str) -> Number | None: ...

    async def dialled(self, number: str) -> tuple[Number, ...]:
        """Every organisation's entry for a dialled number (E.164 or SIP user)."""

    async def list(self, organisation: str) -> tuple[Number, ...]: ...

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Number]: ...

    async def create(self, number: Number, answer: KeptAnswer | None = None) -> None:
        """With the answer to its request, in one transaction.

        Raises NumberTaken, NotFound for a room that is not there, and IdempotencyInProgress.
        """

    async def change(self, organisation: str, number: str, change: Callable[[Number], Number]) -> Number:
        """Read, change and write in one transaction.

        Raises NotFound, also for a room that is not there, and what `change` raises, which then has changed nothing.
        """
        ...

    async def delete(self, organisation: str, number: str) -> None: ...


class GatewayStore(Protocol):
    async def find(self, organisation: str, gateway: str) -> Gateway | None: ...

    async def list(self) -> tuple[Gateway, ...]:
        """Every organisation's: which of them a call belongs to is only known after matching."""

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Gateway]: ...

    async def create(self, gateway: Gateway, answer: KeptAnswer | None = None) -> None:
        """With the answer to its request, in one transaction.

        Raises Conflict for a username that any gateway has already, whoever's it is, and IdempotencyInProgress.
        """

    async def change(self, organisation: str, gateway: str, change: Callable[[Gateway], Gateway]) -> Gateway:
        """Read, change and write in one transaction.

        Raises NotFound, Conflict, and what `change` raises, which then has changed nothing.
        """
        ...

    async def delete(self, organisation: str, gateway: str) -> None: ...


class MeetingStore(Protocol):
    async def running(self) -> tuple[tuple[Session, Room | None, tuple[Participant, ...]], ...]:
        """Sessions without an end, with their rooms (None if deleted) and the participants who have not left."""

    async def was_removed(self, organisation: str, session: str, identity: str) -> bool: ...

    async def write(
        self,
        *,
        sessions: Sequence[Session] = (),
        participants: Sequence[Participant] = (),
        events: Sequence[Event] = (),
    ) -> None:
        """Insert or update these, and the events, in one transaction."""

    async def find_session(self, organisation: str, session: str) -> Session | None: ...

    async def page_sessions(
        self,
        organisation: str,
        room: str | None,
        running: bool | None,
        cursor: str | None,
        limit: int | None,
    ) -> Page[Session]: ...

    async def find_participant(self, organisation: str, participant: str) -> Participant | None: ...

    async def page_participants(
        self, organisation: str, session: str, cursor: str | None, limit: int | None
    ) -> Page[Participant]: ...

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget sessions that ended before this time, with their participants, at most so many; returns how many."""
