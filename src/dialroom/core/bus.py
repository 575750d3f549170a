"""The live bus: what was stored is told, after the commit, to whoever listens in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from dialroom.core.events import Event

Listener = Callable[[Event], None]


class EventBus:
    """Hands each event to every listener, in order, on the event loop.

    Listeners must not block; one that raises is logged and does not disturb the others.
    """

    def __init__(self) -> None:
        self._listeners: dict[int, tuple[str | None, Listener]] = {}
        self._next = 0
        self._log = structlog.get_logger("dialroom.bus")

    def subscribe(self, listener: Listener, organisation: str | None = None) -> Callable[[], None]:
        """Tell `listener` of every event, or only of one organisation's. Returns the function that stops it."""
        ticket = self._next
        self._next += 1
        self._listeners[ticket] = (organisation, listener)
        return lambda: self._listeners.pop(ticket, None) and None

    def publish(self, events: Iterable[Event]) -> None:
        """Tell the listeners. Only for events whose transaction has committed."""
        for event in events:
            for organisation, listener in tuple(self._listeners.values()):
                if organisation is None or organisation == event.organisation:
                    self._tell(listener, event)

    def _tell(self, listener: Listener, event: Event) -> None:
        try:
            listener(event)
        except Exception:
            self._log.exception("bus.listener_failed", event_type=event.type, event_id=event.id)
