"""What calls need from the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dialroom.calls.record import CallRecord, CallState
from dialroom.core.events import Event
from dialroom.core.paging import Page


@dataclass(frozen=True, slots=True)
class RunningCall:
    """A call that has not ended, and what is needed to go on with it (None: it never got that far)."""

    record: CallRecord
    resume: bytes | None


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list; None means any. ``number`` matches from or to. Times bound ``received_at``:
    ``since`` included, ``until`` not."""

    state: CallState | None = None
    room: str | None = None
    session: str | None = None
    number: str | None = None
    since: datetime | None = None
    until: datetime | None = None


CallPage = Page[CallRecord]
"""Calls, newest first."""


class CallStore(Protocol):
    """Calls, kept. Implemented in ``store/calls.py``."""

    async def save(self, record: CallRecord, events: Sequence[Event] = (), *, resume: bytes | None = None) -> None:
        """Writes the record (new or changed), its events and, if given, what is needed to resume: one transaction. A
        record that ended loses its resume state."""

    async def get(self, organisation: str, call_id: str) -> CallRecord | None:
        """One call of this organisation."""
        ...

    async def page(
        self, organisation: str, which: CallFilter, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[CallRecord]:
        """Calls of this organisation, newest first. Raises `InvalidCursor`."""
        ...

    async def running(self) -> Sequence[RunningCall]:
        """All calls that have not ended, of every organisation, oldest first."""
        ...
