"""Who wants to hear which event."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from dialroom.media.plane import EventHandler, LinkHandler, Unlisten, subject_of
from dialroom.media.protocol import Event, Snapshot

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")


class Listeners:
    """Handlers by subject, for all events, and for the link."""

    def __init__(self) -> None:
        self._by_subject: dict[str, list[EventHandler]] = {}
        self._for_all: list[EventHandler] = []
        self._for_link: list[LinkHandler] = []

    def listen(self, subject_id: str, handler: EventHandler) -> Unlisten:
        """Adds a handler of one subject's events; the result removes it, once."""
        self._by_subject.setdefault(subject_id, []).append(handler)

        def unlisten() -> None:
            handlers = self._by_subject.get(subject_id, [])
            if handler in handlers:
                handlers.remove(handler)
            if not handlers:
                self._by_subject.pop(subject_id, None)

        return unlisten

    def listen_all(self, handler: EventHandler) -> Unlisten:
        """Adds a handler of all events."""
        return _add(self._for_all, handler)

    def listen_link(self, handler: LinkHandler) -> Unlisten:
        """Adds a handler of reconnections and losses."""
        return _add(self._for_link, handler)

    def tell(self, event: Event) -> None:
        """Calls the handlers of ``event``'s subject, then those of all events."""
        for handler in [*self._by_subject.get(subject_of(event), ()), *self._for_all]:
            _call(handler, event)

    def tell_link(self, snapshot: Snapshot | None) -> None:
        """Calls the handlers of the link."""
        for handler in list(self._for_link):
            _call(handler, snapshot)


def _add(handlers: list[Callable[[ValueT], None]], handler: Callable[[ValueT], None]) -> Unlisten:
    handlers.append(handler)

    def unlisten() -> None:
        if handler in handlers:
            handlers.remove(handler)

    return unlisten


def _call(handler: Callable[[ValueT], None], value: ValueT) -> None:
    try:
        handler(value)
    except Exception:
        logger.exception("A handler of media events failed on %s", type(value).__name__)
