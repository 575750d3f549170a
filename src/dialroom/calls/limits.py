"""Limits on tones at the door of a room, and on calls that are not in one yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dialroom.core.clock import Clock
from dialroom.core.limits import Places, crowd_name

TONE_PAUSE: Final = 1.5
"""Seconds between two entry tones in one bridge."""
_MANY_BRIDGES: Final = 4096


class EntryTones:
    """Lets a tone into a bridge only if none was played there a moment ago."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def allow(self, bridge: str) -> bool:
        """Whether a tone may be played into this bridge now; if so, it counts as played."""
        now = self._clock.monotonic()
        if now - self._last.get(bridge, float("-inf")) < TONE_PAUSE:
            return False
        if len(self._last) >= _MANY_BRIDGES:
            self._last = {each: at for each, at in self._last.items() if now - at < TONE_PAUSE}
        self._last[bridge] = now
        return True


@dataclass(frozen=True, slots=True)
class LobbyLimits:
    """Calls at once that are not in a room yet: of one organisation, from one address without a gateway, and of one
    caller's number."""

    organisation: int = 2000
    address: int = 200
    caller: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a call is counted by. A gateway's address brings its organisation's whole crowd, so it is no measure."""

    organisation: str
    gateway: str | None
    source: str
    caller: str


@dataclass(frozen=True, slots=True)
class Crowded:
    """There is no room for one more: the SIP status and the reason it is refused with."""

    status: int
    reason: str


class Lobby:
    """The calls that are asked for a code or wait for a room: nobody may fill the house with them alone."""

    def __init__(self, limits: LobbyLimits) -> None:
        self._organisations = Places(limits.organisation)
        self._addresses = Places(limits.address)
        self._callers = Places(limits.caller)

    def refusal(self, arrival: Arrival) -> Crowded | None:
        """Why the call cannot be taken now, or None.

        486 is about this call alone; a 503 would have a carrier's proxy hold back everybody's calls.
        """
        address, caller = _address(arrival), _caller(arrival)
        if caller is not None and not self._callers.free(caller):
            return Crowded(486, "too_many_calls_of_caller")
        if address is not None and not self._addresses.free(address):
            return Crowded(486, "too_many_calls_of_address")
        if not self._organisations.free(arrival.organisation):
            return Crowded(486, "too_many_calls_of_organisation")
        return None

    @contextmanager
    def holding(self, arrival: Arrival) -> Iterator[Callable[[], None]]:
        """Counts the call until the block ends or what it gives is called: the call is in a room."""
        held = [(self._organisations, arrival.organisation)]
        for places, name in ((self._addresses, _address(arrival)), (self._callers, _caller(arrival))):
            if name is not None:
                held.append((places, name))
        for places, name in held:
            places.take(name)

        def leave() -> None:
            while held:
                places, name = held.pop()
                places.leave(name)

        try:
            yield leave
        finally:
            leave()


def _address(arrival: Arrival) -> str | None:
    return crowd_name(arrival.source) if arrival.gateway is None else None


def _caller(arrival: Arrival) -> str | None:
    return f"{arrival.organisation}:{arrival.caller}" if arrival.caller else None
