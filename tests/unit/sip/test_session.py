"""Conversations between two endpoints, told with a virtual clock."""

from __future__ import annotations

import random

import msgspec
import pytest

from dialroom.sip.address import Address
from dialroom.sip.admission import Admission, Admit, Challenge
from dialroom.sip.auth import Credentials, DigestServer
from dialroom.sip.errors import LocalError
from dialroom.sip.facts import RequestFacts
from dialroom.sip.message import Request, Response
from dialroom.sip.session.events import (
    Acknowledged,
    Answered,
    Cancelled,
    Ended,
    Failed,
    Info,
    Offer,
    OfferRejected,
    ProbeAnswered,
    ProbeFailed,
    RemoteAnswer,
    Ringing,
)
from dialroom.sip.session.session import Session
from dialroom.sip.session.state import Phase, SessionState
from tests.unit.sip.pair import ANSWER, OFFER, OTHER, Pair, make_side

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


def lose(what: str, times: int = 10_000):
    """A link that loses the first messages of a kind."""
    left = [times]

    def passes(message: Request | Response) -> bool:
        name = message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"
        if name == what and left[0] > 0:
            left[0] -= 1
            return False
        return True

    return passes


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
    pair.run(100)
    assert pair.quiet()


@TRANSPORTS
def test_the_called_party_hangs_up(transport: str) -> None:
    pair = Pair(transport=transport)
    caller, callee = pair.connected()
    callee.bye(None, pair.now)
    pair.run(1)
    assert pair.alice.of(caller)[-1] == Ended("the peer hung up", "remote", None)
    pair.run(100)
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
    pair.run(100)
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
    pair.run(100)
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
    pair.run(100)
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
    pair.run(100)
    assert pair.quiet()
    assert pair.alice.of(caller)[-1] == Ended("the peer hung up", "remote", None)


def test_hanging_up_before_the_ack_waits_for_it() -> None:
    pair = Pair()
    pair.passes = lose("ACK", 1)
    caller = pair.call()
    pair.run(1)
    callee = pair.bob.offered[0]
    callee.accept(ANSWER, pair.now)
    pair.run(0.1)
    callee.bye("bye", pair.now)
    pair.run(0.1)
    assert not pair.sent("BYE")
    pair.run(2)
    assert len(pair.sent("BYE", pair.bob)) == 1
    assert isinstance(pair.alice.of(caller)[-1], Ended)
    pair.run(100)
    assert pair.quiet()


def test_hanging_up_does_not_wait_for_the_ack_of_a_reinvite() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    pair.passes = lose("ACK")
    caller.reinvite(OTHER, pair.now)
    pair.run(0.1)
    callee.answer_offer(ANSWER, pair.now)
    callee.bye(None, pair.now)
    pair.run(1)
    assert len(pair.sent("BYE", pair.bob)) == 1
    assert len(pair.sent("200 INVITE")) == 2
    pair.run(100)
    assert pair.quiet()


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


@TRANSPORTS
def test_either_side_may_change_the_session(transport: str) -> None:
    pair = Pair(transport=transport)
    ends = pair.connected()
    sides = (pair.alice, pair.bob)
    for one, other in ((0, 1), (1, 0)):
        ends[one].reinvite(OTHER, pair.now)
        pair.run(1)
        assert sides[other].of(ends[other])[-1] == Offer(OTHER, "INVITE")
        ends[other].answer_offer(ANSWER, pair.now)
        pair.run(1)
        assert sides[one].of(ends[one])[-1] == RemoteAnswer(ANSWER)
        assert (ends[one].local_sdp, ends[one].remote_sdp) == (OTHER, ANSWER)
        assert (ends[other].local_sdp, ends[other].remote_sdp) == (ANSWER, OTHER)
    pair.run(40)
    assert all(end.phase is Phase.ESTABLISHED for end in ends)


def test_a_reinvite_without_a_description_asks_the_other_side_for_an_offer() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.reinvite(None, pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Offer(None, "INVITE")
    callee.answer_offer(OTHER, pair.now)
    pair.run(0.1)
    assert pair.alice.of(caller)[-1] == Offer(OTHER, "INVITE")
    caller.answer_offer(ANSWER, pair.now)
    pair.run(10)
    assert pair.bob.of(callee)[-1] == RemoteAnswer(ANSWER)
    assert len(pair.sent("200 INVITE")) == 2


def test_a_refused_offer_leaves_the_session_as_it_was() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    callee.reject_offer(488, pair.now)
    pair.run(1)
    assert pair.alice.of(caller)[-1] == OfferRejected(488, "Not Acceptable Here")
    assert (callee.remote_sdp, caller.phase) == (OFFER, Phase.ESTABLISHED)


def test_reinvites_that_cross_are_refused_with_491_and_tried_again() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.reinvite(OTHER, pair.now)
    callee.reinvite(OTHER, pair.now)
    for _ in range(12):
        pair.run(0.5)
        for end in (caller, callee):
            end.answer_offer(ANSWER, pair.now)
    assert len(pair.sent("491 INVITE")) == 2
    assert RemoteAnswer(ANSWER) in pair.alice.of(caller)
    assert RemoteAnswer(ANSWER) in pair.bob.of(callee)


def test_the_owner_of_the_call_id_waits_longer_after_a_491() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.reinvite(OTHER, pair.now)
    callee.reinvite(OTHER, pair.now)
    pair.run(0.1)
    waits = [min(end.timers.values()) - pair.now for end in (caller, callee)]
    assert 1.9 < waits[0] <= 4.0
    assert -0.1 <= waits[1] <= 2.0


def test_a_second_offer_before_the_first_is_answered_gets_500_and_retry_after() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    caller.reinviting = None
    caller.offered = False
    caller.update(OTHER, pair.now)
    pair.run(1)
    refusal = pair.sent("500 UPDATE")[0]
    assert 0 <= int(refusal.get("retry-after") or "x") <= 10
    assert callee.offer is not None


def test_a_reinvite_during_another_waits_its_turn() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    caller.reinvite(b"v=0\r\no=third\r\n", pair.now)
    pair.run(1)
    assert len(pair.sent("INVITE")) == 2
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Offer(b"v=0\r\no=third\r\n", "INVITE")


def test_a_cancelled_reinvite_leaves_the_call_up() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    assert caller.reinviting is not None
    assert caller.reinviting.pending is not None
    handle = list(pair.alice.endpoint._transactions.clients.values())[-1]
    pair.alice.endpoint.cancel(handle, None, pair.now)
    pair.run(1)
    assert pair.sent("487 INVITE")
    assert callee.offer is None
    assert callee.phase is Phase.ESTABLISHED
    assert pair.alice.of(caller)[-1] == OfferRejected(487, "Request Terminated")


def test_update_changes_the_session_without_an_ack() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.update(OTHER, pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Offer(OTHER, "UPDATE")
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    assert pair.alice.of(caller)[-1] == RemoteAnswer(ANSWER)


def test_a_new_contact_in_a_reinvite_is_where_later_requests_go() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    pair.alice.endpoint.contact = lambda _peer: "<sip:alice@10.0.0.1:5066>"  # type: ignore[method-assign]
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    callee.bye(None, pair.now)
    pair.flush()
    byes = pair.sent("BYE")
    assert isinstance(byes[0], Request)
    assert byes[0].target == "sip:alice@10.0.0.1:5066"


def test_bye_while_an_offer_is_pending_answers_it_487() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    caller.bye(None, pair.now)
    pair.run(1)
    assert pair.sent("487 INVITE")
    assert isinstance(pair.bob.of(callee)[-1], Ended)
    pair.run(100)
    assert pair.quiet()


def test_byes_that_cross_are_both_answered_200() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.bye(None, pair.now)
    callee.bye(None, pair.now)
    pair.run(100)
    assert len(pair.sent("200 BYE")) == 2
    assert pair.quiet()


def test_digits_by_info_arrive_and_are_answered() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.info("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Info("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n")
    assert len(pair.sent("200 INFO")) == 1


def test_an_info_that_is_retransmitted_is_told_once() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    pair.passes = lose("200 INFO", 3)
    caller.info("application/dtmf", b"5", pair.now)
    pair.run(10)
    assert pair.bob.of(callee).count(Info("application/dtmf", b"5")) == 1
    assert len(pair.sent("200 INFO")) == 4


def test_a_probe_is_answered_by_a_living_peer_and_fails_on_a_dead_one() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    callee.probe(pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == ProbeAnswered()
    pair.passes = lose("OPTIONS")
    callee.probe(pair.now)
    pair.run(33)
    assert pair.bob.of(callee)[-1] == ProbeFailed(408)
    pair.passes = lambda _message: True
    pair.alice.endpoint.release(caller)
    callee.probe(pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == ProbeFailed(481)


def test_a_peer_that_forgot_the_call_ends_it_when_asked_to_change_it() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    pair.alice.endpoint.release(caller)
    callee.reinvite(OTHER, pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Ended("the peer does not know the call any more", "remote")


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


def password(_realm: str, username: str) -> str | None:
    """The one user there is."""
    return "secret" if username == "alice" else None


def challenging(facts: RequestFacts) -> Admission:
    """Lets in who is authenticated, asks everybody else."""
    return Admit() if facts.authenticated == "alice" else Challenge("dialroom")


def test_a_challenge_is_answered_once_with_credentials() -> None:
    bob = make_side("10.0.0.2", admit=challenging, digest=DigestServer(b"key" * 10, password))
    pair = Pair(bob=bob)
    caller = pair.call(credentials=Credentials("alice", "secret"))
    pair.run(1)
    assert [type(message) for message in pair.sent("401 INVITE")] == [Response]
    assert bob.offered[0].facts.authenticated == "alice"
    authorization = pair.sent("INVITE")[1].get("authorization") or ""
    assert "algorithm=SHA-256" in authorization
    bob.offered[0].accept(ANSWER, pair.now)
    pair.run(1)
    assert pair.sent("ACK")[-1].get("authorization") == authorization
    assert pair.alice.of(caller) == [Answered(ANSWER)]


def test_a_wrong_password_fails_after_one_try_and_leaves_nothing_behind() -> None:
    bob = make_side("10.0.0.2", admit=challenging, digest=DigestServer(b"key" * 10, password))
    pair = Pair(bob=bob)
    caller = pair.call(credentials=Credentials("alice", "wrong"))
    pair.run(1)
    assert pair.alice.of(caller) == [Failed(401, "Unauthorized")]
    assert len(pair.sent("INVITE")) == 2
    assert bob.endpoint.counts["transactions"] == 0


def test_credentials_never_go_to_another_realm() -> None:
    bob = make_side("10.0.0.2", admit=challenging, digest=DigestServer(b"key" * 10, password))
    pair = Pair(bob=bob)
    caller = pair.call(credentials=Credentials("alice", "secret", realm="carrier"))
    pair.run(1)
    assert pair.alice.of(caller) == [Failed(401, "Unauthorized")]
    assert len(pair.sent("INVITE")) == 1


def test_a_stored_session_goes_on_in_a_new_process() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    stored = msgspec.msgpack.encode(callee.state)
    callee.info("application/dtmf", b"sent after the state was stored", pair.now)
    pair.run(1)
    pair.bob = make_side("10.0.0.2")
    callee = pair.bob.endpoint.restore(msgspec.msgpack.decode(stored, type=SessionState), pair.now)
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Offer(OTHER, "INVITE")
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    callee.bye(None, pair.now)
    pair.run(1)
    assert pair.sent("BYE")[0].cseq.number > pair.sent("INFO")[0].cseq.number
    assert isinstance(pair.alice.of(caller)[-1], Ended)
    assert pair.sent("200 BYE")


def test_a_session_stored_before_its_ack_keeps_sending_its_200() -> None:
    pair = Pair()
    pair.passes = lose("200 INVITE", 1)
    caller = pair.call()
    pair.run(0.1)
    callee = pair.bob.offered[0]
    callee.accept(ANSWER, pair.now)
    pair.run(0.1)
    state = callee.state
    pair.bob = make_side("10.0.0.2")
    restored = pair.bob.endpoint.restore(state, pair.now)
    pair.run(1)
    assert pair.alice.of(caller) == [Answered(ANSWER)]
    assert pair.bob.of(restored) == [Acknowledged(None)]


def test_a_session_that_was_not_answered_cannot_be_taken_up_again() -> None:
    pair = Pair()
    pair.call()
    pair.run(1)
    with pytest.raises(LocalError):
        pair.bob.endpoint.restore(pair.bob.offered[0].state, pair.now)


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


def test_methods_that_come_too_late_do_nothing() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.bye(None, pair.now)
    pair.run(1)
    count = len(pair.wire)
    everything(callee, pair.now)
    everything(caller, pair.now)
    pair.run(1)
    assert len(pair.wire) == count


def test_requests_out_of_order_are_refused() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    caller.info("application/dtmf", b"1", pair.now)
    pair.run(1)
    assert caller.dialog is not None
    late = caller.dialog.request("INFO", 1)
    pair.alice.endpoint.request(late, Address("udp", "10.0.0.2", 5060), lambda *_: None, lambda *_: None, pair.now)
    pair.run(1)
    assert pair.sent("500 INFO")
    assert callee.phase is Phase.ESTABLISHED


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
