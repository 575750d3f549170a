"""The torture messages spoilt at random: whatever comes, the endpoint answers in proper SIP or not at all.

Every answer is read again by our own strict eyes, and calls that come of it are taken and ended.
"""

from __future__ import annotations

import random

import pytest

from dialroom.sip.address import Address
from dialroom.sip.parser import parse
from tests.conformance.test_torture import DATA, pytestmark  # noqa: F401 - the same skip when the data is absent
from tests.unit.sip.pair import ANSWER, make_side

NASTY = b'\r\n";<>:,[]%\\@ \x00='
ROUNDS = 2000


def spoil(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """`data` with up to seven changes: bytes replaced, cut, inserted, or a piece of another message."""
    spoilt = bytearray(data)
    for _ in range(dice.randrange(1, 8)):
        at, kind = dice.randrange(len(spoilt) or 1), dice.random()
        if kind < 0.4 and spoilt:
            spoilt[at] = dice.randrange(256)
        elif kind < 0.6:
            del spoilt[at : at + dice.randrange(1, 9)]
        elif kind < 0.8:
            spoilt[at:at] = bytes(dice.choice(NASTY) for _ in range(dice.randrange(1, 5)))
        else:
            other = dice.choice(others)
            start = dice.randrange(len(other))
            spoilt[at:at] = other[start : start + dice.randrange(60)]
    return bytes(spoilt)


@pytest.mark.parametrize("seed", range(4))
def test_spoilt_messages_are_answered_in_proper_sip_or_not_at_all(seed: int) -> None:
    dice = random.Random(seed)
    messages = [path.read_bytes() for path in sorted(DATA.glob("rfc*/*"))]
    side = make_side("10.0.0.2")
    for _ in range(ROUNDS):
        data = spoil(dice.choice(messages), messages, dice)
        side.endpoint.receive(data, Address("udp", "192.0.2.1", 5060), 1.0)
        side.drain()
        for session in side.offered:
            session.accept(ANSWER, 1.0)
            session.bye(None, 1.0)
        side.offered.clear()
        for send in side.endpoint.take_sends():
            parse(send.data)
    assert side.endpoint.dropped > 0
