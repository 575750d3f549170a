"""Wrong codes and PINs: counted where a guesser could hide, slowed down, then turned away.

A caller ID is easily changed and lines are unlimited, so tries are counted at once per dialled number, per caller, per
source address and per organisation, in windows of an hour from the first wrong one, kept in the store. Below
`slow_from` nothing happens; up to `blocked_from` each further try waits longer; after that everybody in that scope
hears "try later" until the window is over. With codes as `rooms.codes` draws them, the hits to expect from one number's
budget stay below 1 in 10,000, for up to 1,000 rooms.

A try is counted as wrong before it is looked at, in the transaction that judges it, and taken back when it was right: a
thousand lines at once get no try more than one line, and who hangs up in between has used one up. A try that is begun
early, while digits are still typed, stays counted for seconds; it is refused from `slow_from` on, so that many callers
who are typing right codes at once never slow down or block anybody for long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

import structlog

from dialroom.core import metrics
from dialroom.core.clock import Clock
from dialroom.core.errors import StoreUnavailable
from dialroom.core.events import Event, new_event

Scope = Literal["number", "caller", "source", "organisation"]

WINDOW: Final = timedelta(hours=1)
MAX_DELAY: Final = 8.0
"""Seconds the last try before the block waits."""

_log = structlog.get_logger("dialroom.guesses")


@dataclass(frozen=True, slots=True)
class Budget:
    """Wrong tries in a window before a scope is slowed down and before it is blocked."""

    slow_from: int
    blocked_from: int


BUDGETS: Final[Mapping[Scope, Budget]] = {
    "caller": Budget(6, 15),
    "number": Budget(100, 200),
    "source": Budget(200, 400),
    "organisation": Budget(500, 1000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesser:
    """Where a try comes from: E.164 numbers or SIP users as given; ``caller`` None if withheld."""

    organisation: str
    number: str
    caller: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Counter:
    """Wrong tries of one scope since its window began."""

    scope: Scope
    key: str
    wrong: int
    window_started: datetime


@dataclass(frozen=True, slots=True)
class Allowed:
    """The try may be made; answer it `delay` seconds later than usual."""

    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Blocked:
    """No try now; `retry_after` in seconds."""

    scope: Scope
    retry_after: float


@dataclass(frozen=True, slots=True)
class Try:
    """A try that may be made, counted as wrong so far: the counters with this one in them."""

    guesser: Guesser
    counters: tuple[Counter, ...]


class GuessStore(Protocol):
    async def counters(self, keys: Sequence[tuple[Scope, str]]) -> tuple[Counter, ...]: ...

    async def count(
        self,
        keys: Sequence[tuple[Scope, str]],
        now: datetime,
        window: timedelta,
        allowed: Callable[[Sequence[Counter]], bool],
    ) -> tuple[Counter, ...] | None:
        """Add one to each, beginning a new window where the old one is over; returns the new counts.

        Unless ``allowed`` says no to the counts before: then they stay, and None is returned. One transaction, in which
        nobody else counts.
        """

    async def take_back(self, counted: Sequence[Counter]) -> None:
        """Take one from each again, where the window is still the same. One transaction."""

    async def announce(self, events: Sequence[Event]) -> None: ...


def judge(counters: Sequence[Counter], now: datetime) -> Allowed | Blocked:
    """What the counters mean for the next try."""
    delay, block = 0.0, None
    for counter in counters:
        ends = counter.window_started + WINDOW
        if now >= ends:
            continue
        budget = BUDGETS[counter.scope]
        if counter.wrong >= budget.blocked_from:
            wait = (ends - now).total_seconds()
            if block is None or wait > block.retry_after:
                block = Blocked(counter.scope, wait)
        elif counter.wrong >= budget.slow_from:
            share = (counter.wrong - budget.slow_from + 1) / (budget.blocked_from - budget.slow_from)
            delay = max(delay, MAX_DELAY * share)
    return block or Allowed(delay)


def alarms(counters: Sequence[Counter]) -> tuple[Counter, ...]:
    """The counters that have just reached their block (callers aside: those are many and mean little)."""
    return tuple(c for c in counters if c.scope != "caller" and c.wrong == BUDGETS[c.scope].blocked_from)


class Guesses:
    """Counts wrong tries and says whether there may be another."""

    def __init__(self, store: GuessStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def look(self, guesser: Guesser) -> Allowed | Blocked:
        """What a try would meet, without one."""
        return judge(await self._store.counters(_keys(guesser)), self._clock.now())

    async def begin(self, guesser: Guesser, *, early: bool = False) -> Try | Blocked | None:
        """Count a try that is about to be made; say `right` or `wrong` of it afterwards.

        ``early``: a try that may take a while; None, without counting it, where tries are slowed down already.
        """
        now = self._clock.now()
        verdict: Allowed | Blocked = Allowed()

        def allowed(counters: Sequence[Counter]) -> bool:
            nonlocal verdict
            verdict = judge(counters, now)
            return isinstance(verdict, Allowed) and not (early and verdict.delay)

        counters = await self._store.count(_keys(guesser), now, WINDOW, allowed)
        if counters is not None:
            return Try(guesser, counters)
        if early or isinstance(verdict, Allowed):
            return None
        metrics.GUESSERS_BLOCKED.labels(verdict.scope).inc()
        return verdict

    async def right(self, this: Try) -> None:
        """It was right: it is taken back. While the store is away it stays counted, which harms nobody."""
        try:
            await self._store.take_back(this.counters)
        except StoreUnavailable:
            _log.warning("guesses.not_taken_back", number=this.guesser.number)

    async def wrong(self, this: Try) -> None:
        """It was wrong, or nobody waited for its result: it stays counted, and whose block it reached is told."""
        metrics.WRONG_CODES.inc()
        reached = alarms(this.counters)
        for counter in reached:
            _log.warning("guesses.blocked", scope=counter.scope, where=counter.key, wrong=counter.wrong)
        if reached:
            now = self._clock.now()
            try:
                await self._store.announce([_alarm(this.guesser, counter, now) for counter in reached])
            except StoreUnavailable:
                _log.error("guesses.alarm_not_told", number=this.guesser.number)


def _keys(guesser: Guesser) -> tuple[tuple[Scope, str], ...]:
    organisation = guesser.organisation
    keys: list[tuple[Scope, str]] = [
        ("organisation", organisation),
        ("number", f"{organisation}:{guesser.number[:64]}"),
        ("source", f"{organisation}:{guesser.source[:64]}"),
    ]
    if guesser.caller is not None:
        keys.append(("caller", f"{organisation}:{guesser.caller[:64]}"))
    return tuple(keys)


def _alarm(guesser: Guesser, counter: Counter, now: datetime) -> Event:
    data = {
        "scope": counter.scope,
        "number": guesser.number,
        "caller": guesser.caller,
        "source": guesser.source,
        "wrong_tries": counter.wrong,
        "blocked_seconds": int((counter.window_started + WINDOW - now).total_seconds()),
    }
    return new_event(guesser.organisation, "alarm.code_guessing", now, guesser.organisation, data)
