"""Calls whose messages are spoilt, doubled and lost on the way, between users who do what they like.

Whatever is sent is proper SIP, and when it is over neither end keeps anything.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest

from dialroom.sip.address import Address
from dialroom.sip.errors import LocalError
from dialroom.sip.parser import parse
from dialroom.sip.session.session import Session
from dialroom.sip.transactions import Send
from tests.conformance.test_mutations import spoil
from tests.unit.sip.pair import ANSWER, OFFER, OTHER, TRANSPORTS, Pair, Side

Act = Callable[[Session, float], None]
ACTS: list[Act] = [
    lambda session, now: session.ring(180, None, now),
    lambda session, now: session.accept(ANSWER, now),
    lambda session, now: session.accept(ANSWER, now),
    lambda session, now: session.answer_offer(ANSWER, now),
    lambda session, now: session.answer_offer(ANSWER, now),
    lambda session, now: session.reject_offer(488, now),
    lambda session, now: session.reinvite(OTHER, now),
    lambda session, now: session.reinvite(None, now),
    lambda session, now: session.update(OTHER, now),
    lambda session, now: session.info("application/dtmf", b"5", now),
    lambda session, now: session.probe(now),
    lambda session, now: session.bye(None, now),
]


class SpoilingPair(Pair):
    """A pair whose ends may be led astray: what goes to others is checked and lost."""

    def _send(self, source: Side, target: Side, send: Send) -> None:
        parse(send.data)
        if send.target.host == target.host:
            super()._send(source, target, send)

    def sessions(self) -> list[Session]:
        return [session for side in (self.alice, self.bob) for session in list(side.endpoint._bound)]

    def spoil_one(self, dice: random.Random) -> None:
        """A message of before comes again, spoilt."""
        host, message = dice.choice(self.wire)
        target = self.bob if host == self.alice.host else self.alice
        data = spoil(bytes(message), [bytes(other) for _, other in self.wire[-8:]], dice)
        source = Address(self.transport, host, 5060, 1 if self.transport == "tcp" else None)
        target.endpoint.receive(data, source, self.now)


@TRANSPORTS
@pytest.mark.parametrize("seed", range(40))
def test_spoilt_calls_leave_nothing_behind(seed: int, transport: str) -> None:
    dice = random.Random(seed)
    pair = SpoilingPair(transport=transport)
    pair.jitter = lambda: dice.random() * dice.choice([0.0, 0.02, 2.0])
    pair.copies = lambda: dice.choice([0, 1, 1, 1, 1, 2])
    pair.call(dice.choice([OFFER, None]))
    for _ in range(20):
        for session in pair.sessions():
            with contextlib.suppress(LocalError):
                dice.choice(ACTS)(session, pair.now)
        pair.flush()
        pair.spoil_one(dice)
        pair.run(dice.choice([0.01, 0.1, 1.0, 5.0]))
    pair.jitter, pair.copies = (lambda: 0.0), (lambda: 1)
    for _ in range(2):
        for session in pair.sessions():
            session.bye(None, pair.now)
        pair.run(300)
    assert pair.quiet()
