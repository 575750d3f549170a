"""Wrong codes and PINs: counted where a guesser could hide, slowed down, then turned away.

A try counts against each of its scopes: its caller, its address unless a gateway's or this machine's (which bring
everybody), and for a code the number that was dialled and the organisation, for a PIN the room. A counter is a leaky
bucket: each wrong try adds one, and what a full one holds drains within an hour. Below `slow_from` nothing happens; up
to `blocked_from` each further try waits longer; a full counter takes the next try when one has drained, which is
seconds for what many share.

What many share is counted apart for regulars, callers who have been in a room of the organisation lately: whoever
changes their caller ID with each call, as a guesser has to, fills what strangers share and keeps no regular out.

A try is counted as wrong before it is looked at, in the transaction that judges it, and taken back when it was right: a
thousand lines at once get no try more than one line, and who hangs up in between has used one up. A try that is begun
early, while digits are still typed, stays counted for seconds; it is refused from `slow_from` on, so that many callers
who are typing right codes at once never slow down or block anybody for long.

What a guesser may expect of all this is worked out in docs/decisions/0013-guessing.md.
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
from dialroom.core.limits import crowd_name

Scope = Literal["caller", "source", "room", "number", "organisation"]

WINDOW: Final = timedelta(hours=1)
"""In which a full counter drains; also how often at most its alarm is told."""

MAX_DELAY: Final = 8.0
"""Seconds the last try before the block waits."""

REGULAR_FOR: Final = timedelta(days=30)
"""How long somebody is a regular after a call that got into a room."""

_OWN: Final = frozenset({"caller", "source"})
"""Scopes that one guesser fills alone; the others are shared."""

_log = structlog.get_logger("dialroom.guesses")


@dataclass(frozen=True, slots=True)
class Budget:
    """Wrong tries a counter holds before its scope is slowed down, and when it is full."""

    slow_from: int
    blocked_from: int

    @property
    def drain(self) -> timedelta:
        """How long one wrong try takes to drain."""
        return WINDOW / self.blocked_from


BUDGETS: Final[Mapping[Scope, Budget]] = {
    "caller": Budget(6, 15),
    "source": Budget(200, 400),
    "room": Budget(50, 100),
    "number": Budget(100, 400),
    "organisation": Budget(500, 1000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesser:
    """Where a try comes from: E.164 numbers or SIP users as given; ``caller`` None if withheld or not one's own.

    ``room`` is the one whose PIN is tried, None for a code.
    """

    organisation: str
    number: str
    caller: str | None
    source: str
    gateway: str | None = None
    room: str | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """The wrong tries of one scope: until when they would drain, and when its alarm was told last."""

    scope: Scope
    key: str
    drained_at: datetime
    told_at: datetime | None = None

    def wrong(self, now: datetime) -> int:
        """How many it holds."""
        return max(0, -((now - self.drained_at) // BUDGETS[self.scope].drain))

    @property
    def one_less(self) -> Counter:
        """Without the latest try."""
        return Counter(self.scope, self.key, self.drained_at - BUDGETS[self.scope].drain, self.told_at)


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
    async def is_regular(self, organisation: str, caller: str, since: datetime) -> bool:
        """Whether a call of theirs that came in since then got into a room."""
        ...

    async def counters(self, keys: Sequence[tuple[Scope, str]]) -> tuple[Counter, ...]: ...

    async def count(
        self, keys: Sequence[tuple[Scope, str]], now: datetime, allowed: Callable[[Sequence[Counter]], bool]
    ) -> tuple[Counter, ...] | None:
        """Add one to each; returns them as they are then.

        Unless ``allowed`` says no to the counters before: then they stay, and None is returned. One transaction, in
        which nobody else counts.
        """

    async def take_back(self, counted: Sequence[Counter]) -> None:
        """Take one from each again. One transaction."""

    async def alarm(self, counter: Counter, event: Event, now: datetime) -> bool:
        """Tell of a full counter, unless that was done within `WINDOW`; says whether it was. One transaction."""
        ...


def judge(counters: Sequence[Counter], now: datetime) -> Allowed | Blocked:
    """What the counters mean for the next try."""
    delay, block = 0.0, None
    for counter in counters:
        budget, wrong = BUDGETS[counter.scope], counter.wrong(now)
        if wrong >= budget.blocked_from:
            wait = (counter.drained_at - now - (budget.blocked_from - 1) * budget.drain).total_seconds()
            if block is None or wait > block.retry_after:
                block = Blocked(counter.scope, wait)
        elif wrong >= budget.slow_from:
            share = (wrong - budget.slow_from + 1) / (budget.blocked_from - budget.slow_from)
            delay = max(delay, MAX_DELAY * share)
    return block or Allowed(delay)


def alarms(counters: Sequence[Counter], now: datetime) -> tuple[Counter, ...]:
    """The full counters nobody was told of (callers aside: those are many and mean little)."""
    return tuple(
        each
        for each in counters
        if each.scope != "caller"
        and each.wrong(now) >= BUDGETS[each.scope].blocked_from
        and (each.told_at is None or each.told_at <= now - WINDOW)
    )


class Guesses:
    """Counts wrong tries and says whether there may be another."""

    def __init__(self, store: GuessStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def look(self, guesser: Guesser) -> Allowed | Blocked:
        """What a try would meet, without one."""
        now = self._clock.now()
        return judge(await self._store.counters(await self._keys(guesser, now)), now)

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

        counters = await self._store.count(await self._keys(guesser, now), now, allowed)
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
        """It was wrong, or nobody waited for its result: it stays counted, and of a counter it filled is told."""
        metrics.WRONG_CODES.inc()
        now = self._clock.now()
        for counter in alarms(this.counters, now):
            try:
                told = await self._store.alarm(counter, _alarm(this.guesser, counter, now), now)
            except StoreUnavailable:
                _log.error("guesses.alarm_not_told", number=this.guesser.number)
                return
            if told:
                _log.warning("guesses.blocked", scope=counter.scope, where=counter.key, wrong=counter.wrong(now))

    async def _keys(self, guesser: Guesser, now: datetime) -> tuple[tuple[Scope, str], ...]:
        organisation, caller = guesser.organisation, guesser.caller
        regular = caller is not None and await self._store.is_regular(organisation, caller, now - REGULAR_FOR)
        return tuple(
            (scope, f"{organisation}:{key[:64]}{':regulars' if regular and scope not in _OWN else ''}")
            for scope, key in _scopes(guesser)
        )


def _scopes(guesser: Guesser) -> list[tuple[Scope, str]]:
    scopes: list[tuple[Scope, str]] = []
    if guesser.caller is not None:
        scopes.append(("caller", guesser.caller))
    if guesser.gateway is None and (line := crowd_name(guesser.source)) is not None:
        scopes.append(("source", line))
    if guesser.room is not None:
        return [*scopes, ("room", guesser.room)]
    return [*scopes, ("number", guesser.number), ("organisation", "")]


def _alarm(guesser: Guesser, counter: Counter, now: datetime) -> Event:
    data = {
        "scope": counter.scope,
        "number": guesser.number,
        "room": guesser.room,
        "caller": guesser.caller,
        "source": guesser.source,
        "gateway": guesser.gateway,
        "wrong_tries": counter.wrong(now),
    }
    return new_event(guesser.organisation, "alarm.code_guessing", now, guesser.organisation, data)
