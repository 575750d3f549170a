"""Hanging up, from either side and at awkward moments."""

from __future__ import annotations

from typing import cast

from dialroom.sip.message import Request
from dialroom.sip.session.events import Cancelled, Ended
from dialroom.sip.session.session import Session
from tests.unit.sip.pair import ANSWER, OTHER, TRANSPORTS, Pair, connected, lose


def everything(session: Session, now: float) -> None:
    """Every method of a session."""
    session.ring(180, None, now)
    session.accept(ANSWER, now)
    session.reject(486, None, (), now)
    session.cancel(now)
    session.bye(None, now)
    session.answer_offer(ANSWER, now)
    session.reject_offer(488, now)
    session.reinvite(OTHER, now)
    session.update(OTHER, now)
    session.info("text/plain", b"x", now)
    session.probe(now)


@TRANSPORTS
def test_the_called_party_hangs_up(transport: str) -> None:
    pair, caller, callee = connected(transport)
    callee.bye(None, pair.now)
    pair.run(1)
    assert pair.alice.of(caller)[-1] == Ended("the peer hung up", "remote", None)
    assert pair.quiet()


def test_hanging_up_before_the_ack_waits_for_it() -> None:
    pair = Pair()
    pair.passes = lose("ACK", 2)
    caller, callee = pair.connected()
    callee.bye("bye", pair.now)
    pair.run(0.1)
    assert not pair.sent("BYE")
    pair.run(2)
    assert len(pair.sent("BYE", pair.bob)) == 1
    assert isinstance(pair.alice.of(caller)[-1], Ended)
    assert pair.quiet()


def test_hanging_up_does_not_wait_for_the_ack_of_a_reinvite() -> None:
    pair, caller, callee = connected()
    pair.passes = lose("ACK")
    caller.reinvite(OTHER, pair.now)
    pair.run(0.1)
    callee.answer_offer(ANSWER, pair.now)
    callee.bye(None, pair.now)
    pair.run(1)
    assert len(pair.sent("BYE", pair.bob)) == 1
    assert len(pair.sent("200 INVITE")) == 2
    assert pair.quiet()


def test_bye_while_an_offer_is_pending_answers_it_487() -> None:
    pair, caller, callee = connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    caller.bye(None, pair.now)
    pair.run(1)
    assert pair.sent("487 INVITE")
    assert isinstance(pair.bob.of(callee)[-1], Ended)
    assert pair.quiet()


def test_byes_that_cross_are_both_answered_200() -> None:
    pair, caller, callee = connected()
    caller.bye(None, pair.now)
    callee.bye(None, pair.now)
    pair.run(100)
    assert len(pair.sent("200 BYE")) == 2
    assert pair.quiet()


def test_methods_that_come_too_late_do_nothing() -> None:
    pair, caller, callee = connected()
    caller.bye(None, pair.now)
    pair.run(1)
    count = len(pair.wire)
    everything(callee, pair.now)
    everything(caller, pair.now)
    pair.run(1)
    assert len(pair.wire) == count


def test_a_bye_that_crosses_ours_waiting_for_its_ack_ends_all_of_it() -> None:
    pair = Pair()
    pair.passes = lose("ACK")
    caller, callee = pair.connected()
    callee.bye("bye", pair.now)
    caller.bye(None, pair.now)
    pair.run(0.1)
    answers = len(pair.sent("200 INVITE"))
    pair.run(100)
    assert len(pair.sent("200 INVITE")) == answers
    assert not pair.sent("BYE", pair.bob)
    assert pair.quiet()


def test_an_ack_that_comes_after_the_end_does_not_end_the_call_again() -> None:
    pair, caller, callee = connected()
    pair.passes = lambda message: not isinstance(message, Request) or message.method == "INVITE"
    callee.info("application/dtmf", b"5", pair.now)
    pair.run(5)
    caller.reinvite(OTHER, pair.now)
    pair.run(0.1)
    callee.answer_offer(ANSWER, pair.now)
    pair.run(28)
    assert pair.bob.of(callee)[-1] == Ended("the peer does not answer any more", "timeout")
    byes = {bye.cseq.number for bye in pair.sent("BYE", pair.bob)}
    callee.receive_ack(cast(Request, pair.sent("ACK")[-1]), pair.now)
    pair.flush()
    assert {bye.cseq.number for bye in pair.sent("BYE", pair.bob)} == byes


def test_an_invite_that_rings_for_ever_is_forgotten_with_its_call() -> None:
    pair = Pair()
    caller, _callee = pair.connected()
    pair.passes = lose("CANCEL")
    given_up = pair.call()
    pair.run(1)
    pair.bob.offered[-1].ring(180, None, pair.now)
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    given_up.cancel(pair.now)
    caller.bye(None, pair.now)
    pair.run(100)
    assert pair.alice.endpoint.counts["transactions"] == pair.alice.endpoint.counts["sessions"] == 0


def test_a_caller_who_hangs_up_before_the_answer_has_given_up() -> None:
    pair = Pair()
    caller = pair.call()
    pair.run(1)
    callee = pair.bob.offered[0]
    callee.ring(180, None, pair.now)
    pair.run(1)
    assert caller.outgoing is not None
    (early,) = caller.outgoing.early.values()
    _, request = early.next_request("BYE")
    request.add("Reason", 'SIP;cause=200;text="elsewhere"')
    pair.alice.endpoint.request(request, early.flow, lambda *_: None, lambda *_: None, pair.now)
    pair.run(1)
    assert len(pair.sent("200 BYE")) == len(pair.sent("487 INVITE")) == 1
    assert pair.bob.of(callee) == [Cancelled('SIP;cause=200;text="elsewhere"')]


def test_a_call_that_is_lost_while_an_offer_waits_leaves_nothing() -> None:
    pair, caller, callee = connected()
    pair.passes = lose("INFO")
    callee.info("application/dtmf", b"5", pair.now)
    pair.run(1)
    caller.reinvite(OTHER, pair.now)
    pair.run(35)
    assert pair.bob.of(callee)[-1] == Ended("the peer does not answer any more", "timeout")
    assert pair.sent("487 INVITE")
    assert pair.quiet()


def test_a_change_of_ours_is_not_sent_again_once_the_peer_has_hung_up() -> None:
    pair, caller, callee = connected()
    pair.passes = lose("INVITE")
    callee.reinvite(OTHER, pair.now)
    caller.bye(None, pair.now)
    pair.run(100)
    assert isinstance(pair.bob.of(callee)[-1], Ended)
    assert len(pair.sent("INVITE", pair.bob)) == 1
    assert pair.quiet()
