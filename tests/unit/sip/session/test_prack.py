"""Reliable provisional responses (RFC 3262)."""

from __future__ import annotations

from dialroom.sip.address import Address
from dialroom.sip.session.events import (
    Acknowledged,
    Answered,
    Failed,
    Ringing,
)
from tests.unit.sip.pair import ANSWER, Pair, lose


def test_a_caller_that_requires_100rel_gets_its_ringing_reliably() -> None:
    pair = Pair()
    pair.passes = lose("180 INVITE", 2)
    caller = pair.call(headers=(("Require", "100rel"),))
    pair.run(1)
    callee = pair.bob.offered[0]
    callee.ring(180, None, pair.now)
    pair.run(5)
    ringing = pair.sent("180 INVITE")
    assert len(ringing) == 3
    assert (ringing[0].get("rseq"), ringing[0].get("require")) == ("1", "100rel")
    assert len(pair.sent("PRACK")) == 1
    assert pair.sent("PRACK")[0].get("rack") == "1 1 INVITE"
    assert pair.alice.of(caller) == [Ringing(180, None)]


def test_a_200_waits_for_the_prack_of_early_media_and_then_repeats_no_description() -> None:
    pair = Pair()
    pair.passes = lose("PRACK", 1)
    caller = pair.call(headers=(("Require", "100rel"),))
    pair.run(1)
    callee = pair.bob.offered[0]
    callee.ring(183, ANSWER, pair.now)
    pair.run(0.1)
    callee.accept(ANSWER, pair.now)
    pair.run(0.1)
    assert not pair.sent("200 INVITE")
    pair.run(3)
    assert pair.sent("200 INVITE")[0].sdp is None
    assert pair.alice.of(caller) == [Ringing(183, ANSWER), Answered(ANSWER)]
    assert pair.bob.of(callee) == [Acknowledged(None)]


def test_a_second_reliable_response_waits_for_the_prack_of_the_first() -> None:
    pair = Pair()
    pair.call(headers=(("Require", "100rel"),))
    pair.run(1)
    callee = pair.bob.offered[0]
    callee.ring(180, None, pair.now)
    callee.ring(183, None, pair.now)
    pair.flush()
    assert not pair.sent("183 INVITE")
    pair.run(1)
    assert pair.sent("183 INVITE")[0].get("rseq") == "2"


def test_a_reliable_response_that_is_never_acknowledged_refuses_the_call() -> None:
    pair = Pair()
    pair.passes = lose("PRACK")
    caller = pair.call(headers=(("Require", "100rel"),))
    pair.run(1)
    pair.bob.offered[0].ring(180, None, pair.now)
    pair.run(33)
    assert pair.alice.of(caller)[-1] == Failed(504, "no PRACK came")


def test_a_prack_for_nothing_gets_481() -> None:
    pair = Pair()
    caller, _ = pair.connected()
    assert caller.dialog is not None
    caller.dialog, request = caller.dialog.next_request("PRACK")
    request.add("RAck", "7 1 INVITE")
    pair.alice.endpoint.request(request, Address("udp", "10.0.0.2", 5060), lambda *_: None, lambda *_: None, pair.now)
    pair.run(1)
    assert pair.sent("481 PRACK")
