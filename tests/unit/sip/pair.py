"""Two endpoints, a virtual clock and a link that may lose, double and reorder: conversations without sockets."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dialroom.sip.address import Address
from dialroom.sip.admission import AdmissionHook, admit_all
from dialroom.sip.auth import DigestServer
from dialroom.sip.endpoint import Endpoint, EndpointConfig
from dialroom.sip.happenings import RequestRefused, SessionHappened, SessionOffered
from dialroom.sip.message import Request, Response
from dialroom.sip.parser import parse
from dialroom.sip.session.events import SessionEvent
from dialroom.sip.session.session import Session
from dialroom.sip.transactions import Send

OFFER, ANSWER, OTHER = b"v=0\r\no=offer\r\n", b"v=0\r\no=answer\r\n", b"v=0\r\no=other\r\n"

Passes = Callable[[Request | Response], bool]

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


def tokens(seed: str) -> Callable[[], str]:
    """A reproducible source of tokens: 16 hexadecimal digits."""
    dice = random.Random(seed)
    return lambda: f"{dice.getrandbits(64):016x}"


@dataclass
class Side:
    """One endpoint with what its user has seen."""

    host: str
    endpoint: Endpoint
    offered: list[Session] = field(default_factory=list)
    refused: list[RequestRefused] = field(default_factory=list)
    events: dict[Session, list[SessionEvent]] = field(default_factory=dict)

    def drain(self) -> None:
        """Note what happened."""
        for happening in self.endpoint.take_happenings():
            if isinstance(happening, SessionOffered):
                self.offered.append(happening.session)
            elif isinstance(happening, SessionHappened):
                self.events.setdefault(happening.session, []).append(happening.event)
            else:
                self.refused.append(happening)

    def of(self, session: Session) -> list[SessionEvent]:
        """What happened to a session so far."""
        return self.events.get(session, [])


def make_side(host: str, *, admit: AdmissionHook = admit_all, digest: DigestServer | None = None, **more: Any) -> Side:
    """An endpoint at `host`:5060."""
    config = EndpointConfig(
        port=5060,
        token=tokens(host),
        tag_key=b"k" * 16,
        local_host=lambda _peer: host,
        admit=admit,
        digest=digest,
        **more,
    )
    return Side(host, Endpoint(config))


class Pair:
    """Alice calls, Bob is called. `passes` decides about each message on the wire; `wire` remembers them all."""

    def __init__(self, *, transport: str = "udp", delay: float = 0.01, bob: Side | None = None) -> None:
        self.now = 1000.0
        self.transport = transport
        self.delay = delay
        self.jitter: Callable[[], float] = lambda: 0.0
        self.copies: Callable[[], int] = lambda: 1
        self.passes: Passes = lambda _message: True
        self.alice = make_side("10.0.0.1")
        self.bob = bob or make_side("10.0.0.2")
        self.wire: list[tuple[str, Request | Response]] = []
        self._flying: list[tuple[float, int, Side, Side, bytes]] = []
        self._count = itertools.count()
        if transport == "tcp":
            self.alice.endpoint.connection_opened(1)
            self.bob.endpoint.connection_opened(1)

    def call(self, sdp: bytes | None = OFFER, **more: Any) -> Session:
        """Alice calls Bob."""
        suffix = "" if self.transport == "udp" else ";transport=tcp"
        session = self.alice.endpoint.invite(
            target=f"sip:bob@10.0.0.2{suffix}",
            from_='"Alice" <sip:alice@10.0.0.1>',
            sdp=sdp,
            now=self.now,
            **more,
        )
        self.flush()
        return session

    def connected(self, *, sdp: bytes | None = OFFER) -> tuple[Session, Session]:
        """A call that is up, Alice's end and Bob's."""
        caller = self.call(sdp)
        self.run(1)
        callee = self.bob.offered[-1]
        callee.accept(ANSWER if sdp is not None else OFFER, self.now)
        self.run(1)
        if sdp is None:
            caller.answer_offer(ANSWER, self.now)
            self.run(1)
        return caller, callee

    def run(self, seconds: float) -> None:
        """Let time pass: messages arrive, timers ring."""
        end = self.now + seconds
        self.flush()
        while (moment := self._next()) is not None and moment <= end:
            self.now = max(self.now, moment)
            while self._flying and self._flying[0][0] <= self.now:
                _, _, source, target, data = heapq.heappop(self._flying)
                number = 1 if self.transport == "tcp" else None
                target.endpoint.receive(data, Address(self.transport, source.host, 5060, number), self.now)
            for side in (self.alice, self.bob):
                side.endpoint.handle_timeout(self.now)
            self.flush()
        self.now = end

    def flush(self) -> None:
        """Put what the endpoints want to send on the wire."""
        for source, target in ((self.alice, self.bob), (self.bob, self.alice)):
            for send in source.endpoint.take_sends():
                self._send(source, target, send)
            source.drain()

    def _send(self, source: Side, target: Side, send: Send) -> None:
        assert send.target.host == target.host, send.target
        message = parse(send.data)
        self.wire.append((source.host, message))
        if not self.passes(message):
            return
        for _ in range(self.copies()):
            arrival = self.now + self.delay + self.jitter()
            heapq.heappush(self._flying, (arrival, next(self._count), source, target, send.data))

    def _next(self) -> float | None:
        moments = [self.alice.endpoint.deadline, self.bob.endpoint.deadline]
        moments += [flying[0] for flying in self._flying[:1]]
        return min((moment for moment in moments if moment is not None), default=None)

    def sent(self, what: str, by: Side | None = None) -> list[Request | Response]:
        """Messages on the wire: by method ("BYE") or status and method ("200 BYE")."""
        found = []
        for host, message in self.wire:
            name = message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"
            if name == what and (by is None or by.host == host):
                found.append(message)
        return found

    def quiet(self) -> bool:
        """Whether neither end keeps anything of any call, once all timers have run out."""
        self.run(100)
        counts = [side.endpoint.counts for side in (self.alice, self.bob)]
        return all(count["transactions"] == count["sessions"] == 0 for count in counts)


def connected(transport: str = "udp") -> tuple[Pair, Session, Session]:
    """A pair with a call that is up, Alice's end of it and Bob's."""
    pair = Pair(transport=transport)
    return pair, *pair.connected()


def lose(what: str, times: int = 10_000) -> Passes:
    """What passes a link that loses the first messages of a kind, such as ``ACK`` or ``200 INVITE``."""
    left = [times]

    def passes(message: Request | Response) -> bool:
        name = message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"
        if name == what and left[0] > 0:
            left[0] -= 1
            return False
        return True

    return passes
