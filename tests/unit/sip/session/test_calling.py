"""A call rings and is answered, refused or given up, told with a virtual clock."""

from __future__ import annotations

import random

import pytest

from dialroom.sip.address import Address
from dialroom.sip.errors import LocalError
from dialroom.sip.message import Request
from dialroom.sip.session.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Ended,
    Failed,
    RemoteAnswer,
    Ringing,
)
from dialroom.sip.session.state import Phase
from tests.unit.sip.pair import ANSWER, OFFER, OTHER, TRANSPORTS, Pair, lose


@TRANSPORTS
def test_a_call_rings_is_answered_and_hung_up(transport: str) -> None:
    pair = Pair(transport=transport)
    caller = pair.call()
    pair.run(1)
    callee = pair.bob.offered[0]
    assert (callee.facts.from_user, callee.facts.from_display_name, callee.facts.to_user) == ("alice", "Alice", "bob")
    assert (callee.facts.source_host, callee.remote_sdp) == ("10.0.0.1", OFFER)
    callee.ring(180, None, pair.now)
    pair.run(1)
    callee.accept(ANSWER, pair.now)
    pair.run(1)
    assert pair.alice.of(caller) == [Ringing(180, None), Answered(ANSWER)]
    assert pair.bob.of(callee) == [Acknowledged(None)]
    caller.bye("done", pair.now)
    pair.run(1)
    assert pair.alice.of(caller)[-1] == Ended("done", "local")
    assert pair.bob.of(callee)[-1] == Ended("the peer hung up", "remote", 'SIP;cause=200;text="done"')
    assert pair.quiet()


def test_a_call_is_refused() -> None:
    pair = Pair()
    caller = pair.call()
    pair.run(1)
    pair.bob.offered[0].reject(486, None, (("Retry-After", "60"),), pair.now)
    pair.run(1)
    assert pair.alice.of(caller) == [Failed(486, "Busy Here")]
    assert pair.sent("486 INVITE")[0].get("retry-after") == "60"
    assert len(pair.sent("ACK")) == 1
    assert pair.quiet()


def test_silence_fails_a_call_after_64_t1() -> None:
    pair = Pair()
    pair.passes = lambda _message: False
    caller = pair.call()
    pair.run(31)
    assert pair.alice.of(caller) == []
    pair.run(2)
    assert pair.alice.of(caller) == [Failed(408, "no answer from there")]
    assert pair.quiet()


@TRANSPORTS
def test_a_caller_gives_up_while_it_rings(transport: str) -> None:
    pair = Pair(transport=transport)
    caller = pair.call()
    pair.run(1)
    pair.bob.offered[0].ring(180, None, pair.now)
    pair.run(1)
    caller.cancel(pair.now)
    pair.run(1)
    assert pair.bob.of(pair.bob.offered[0]) == [Cancelled()]
    assert pair.alice.of(caller)[-1] == Ended("we gave up calling", "local")
    assert len(pair.sent("487 INVITE")) == 1
    assert pair.quiet()


def test_a_cancel_waits_for_a_provisional_response() -> None:
    pair = Pair()
    pair.passes = lose("100 INVITE", 1)
    caller = pair.call()
    caller.cancel(pair.now)
    pair.run(0.1)
    assert not pair.sent("CANCEL")
    pair.run(5)
    assert len(pair.sent("CANCEL")) == 1
    assert pair.bob.of(pair.bob.offered[0]) == [Cancelled()]


def test_a_200_that_crosses_the_cancel_is_acknowledged_and_hung_up_on() -> None:
    pair = Pair()
    caller = pair.call()
    pair.run(1)
    caller.cancel(pair.now)
    pair.bob.offered[0].accept(ANSWER, pair.now)
    pair.run(2)
    callee = pair.bob.offered[0]
    assert [type(event) for event in pair.bob.of(callee)] == [Acknowledged, Ended]
    assert len(pair.sent("BYE", pair.alice)) == 1
    assert pair.alice.of(caller) == [Ended("we gave up calling", "local")]
    assert pair.quiet()


def test_a_cancel_after_the_200_changes_nothing() -> None:
    pair = Pair()
    pair.passes = lose("200 INVITE", 1)
    caller = pair.call()
    pair.run(1)
    callee = pair.bob.offered[0]
    callee.accept(ANSWER, pair.now)
    caller.cancel(pair.now)
    pair.run(0.2)
    assert pair.sent("200 CANCEL")
    assert callee.phase is Phase.ACCEPTED


def test_a_200_is_sent_again_until_its_ack_comes() -> None:
    pair = Pair()
    pair.passes = lose("ACK", 3)
    caller, callee = pair.connected()
    pair.run(10)
    assert len(pair.sent("200 INVITE")) == 4
    assert pair.bob.of(callee) == [Acknowledged(None)]
    assert pair.alice.of(caller) == [Answered(ANSWER)]


@TRANSPORTS
def test_a_call_whose_answer_is_never_acknowledged_is_ended_after_64_t1(transport: str) -> None:
    pair = Pair(transport=transport)
    pair.passes = lose("ACK")
    caller, callee = pair.connected()
    pair.run(40)
    assert pair.bob.of(callee) == [Ended("no ACK came for our answer", "timeout")]
    assert pair.sent("BYE", pair.bob)
    assert pair.quiet()
    assert pair.alice.of(caller)[-1] == Ended("the peer hung up", "remote", None)


def test_a_call_that_was_not_answered_takes_neither_probe_nor_info() -> None:
    pair = Pair()
    caller = pair.call()
    pair.run(1)
    for end in (caller, pair.bob.offered[0]):
        with pytest.raises(LocalError):
            end.probe(pair.now)
        with pytest.raises(LocalError):
            end.info("text/plain", b"x", pair.now)


def test_an_invite_without_a_description_gets_our_offer_and_answers_in_the_ack() -> None:
    pair = Pair()
    caller, callee = pair.connected(sdp=None)
    assert pair.alice.of(caller) == [Answered(OFFER)]
    assert pair.bob.of(callee) == [Acknowledged(ANSWER)]
    assert callee.remote_sdp == ANSWER
    pair.run(40)
    assert callee.phase is Phase.ESTABLISHED


def test_a_fork_that_answers_second_is_acknowledged_and_hung_up_on() -> None:
    pair = Pair()
    caller, _ = pair.connected()
    first = pair.sent("200 INVITE")[0]
    fork = bytes(first).replace(f"tag={first.to.tag}".encode(), b"tag=fork")
    pair.alice.endpoint.receive(fork, Address("udp", "10.0.0.2", 5060), pair.now)
    pair.run(1)
    byes = pair.sent("BYE", pair.alice)
    assert [bye.to.tag for bye in byes] == ["fork"]
    assert len(pair.sent("ACK")) == 2
    assert caller.phase is Phase.ESTABLISHED


@pytest.mark.parametrize("seed", range(40))
def test_calls_over_a_bad_link_begin_change_and_end_properly(seed: int) -> None:
    """A fifth of all messages lost, a tenth doubled, order shaken by up to 300 ms: SIP's timers must carry the call."""
    dice = random.Random(seed)
    pair = Pair()
    pair.jitter = lambda: dice.uniform(0, 0.3)
    pair.copies = lambda: 0 if dice.random() < 0.2 else 2 if dice.random() < 0.1 else 1
    caller = pair.call()
    pair.run(8)
    assert len(pair.bob.offered) == 1
    callee = pair.bob.offered[0]
    callee.accept(ANSWER, pair.now)
    pair.run(20)
    assert pair.alice.of(caller) == [Answered(ANSWER)]
    assert pair.bob.of(callee) == [Acknowledged(None)]
    callee.reinvite(OTHER, pair.now)
    pair.run(20)
    caller.answer_offer(ANSWER, pair.now)
    pair.run(25)
    assert pair.bob.of(callee)[-1] == RemoteAnswer(ANSWER)
    (caller if seed % 2 else callee).bye(None, pair.now)
    pair.run(120)
    assert [type(event) for event in pair.alice.of(caller)][-1] is Ended
    assert [type(event) for event in pair.bob.of(callee)][-1] is Ended
    assert pair.quiet()


def test_an_answer_that_founds_no_dialog_fails_the_call() -> None:
    pair = Pair()
    pair.passes = lose("200 INVITE")
    caller = pair.call()
    pair.run(1)
    pair.bob.offered[0].accept(ANSWER, pair.now)
    pair.flush()
    data = bytes(pair.sent("200 INVITE")[0]).replace(b"\r\n", b"\r\nRecord-Route: <sip:p\x01roxy;lr>\r\n", 1)
    pair.alice.endpoint.receive(data, Address("udp", "10.0.0.2", 5060), pair.now)
    pair.flush()
    assert pair.alice.of(caller)[-1] == Failed(500, "its answer cannot be understood")
    pair.run(100)
    assert pair.alice.endpoint.counts["transactions"] == pair.alice.endpoint.counts["sessions"] == 0


def test_a_call_given_up_is_forgotten_also_when_its_answer_founds_no_dialog() -> None:
    pair = Pair()
    pair.passes = lambda message: isinstance(message, Request)
    caller = pair.call()
    pair.run(0.1)
    caller.cancel(pair.now)
    pair.bob.offered[0].accept(ANSWER, pair.now)
    pair.flush()
    data = bytes(pair.sent("200 INVITE")[0]).replace(b"\r\n", b"\r\nRecord-Route: <sip:p\x01roxy;lr>\r\n", 1)
    pair.alice.endpoint.receive(data, Address("udp", "10.0.0.2", 5060), pair.now)
    pair.run(100)
    assert pair.alice.of(caller) == [Ended("we gave up calling", "local")]
    assert pair.alice.endpoint.counts["transactions"] == pair.alice.endpoint.counts["sessions"] == 0
