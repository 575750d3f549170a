"""Offers and answers within a call (RFC 3261 §14, RFC 3311): hold, changes, and what crosses on the way."""

from __future__ import annotations

from dialroom.sip.message import Request
from dialroom.sip.session.events import Ended, Offer, OfferRejected, RemoteAnswer
from dialroom.sip.session.state import Phase
from tests.unit.sip.pair import ANSWER, OFFER, OTHER, TRANSPORTS, Pair, connected, lose


@TRANSPORTS
def test_either_side_may_change_the_session(transport: str) -> None:
    pair, *ends = connected(transport)
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
    pair, caller, callee = connected()
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
    pair, caller, callee = connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    callee.reject_offer(488, pair.now)
    pair.run(1)
    assert pair.alice.of(caller)[-1] == OfferRejected(488, "Not Acceptable Here")
    assert (callee.remote_sdp, caller.phase) == (OFFER, Phase.ESTABLISHED)


def test_reinvites_that_cross_are_refused_with_491_and_tried_again() -> None:
    pair, caller, callee = connected()
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
    pair, caller, callee = connected()
    caller.reinvite(OTHER, pair.now)
    callee.reinvite(OTHER, pair.now)
    pair.run(0.1)
    waits = [min(end.timers.values()) - pair.now for end in (caller, callee)]
    assert 1.9 < waits[0] <= 4.0
    assert -0.1 <= waits[1] <= 2.0


def test_a_second_offer_before_the_first_is_answered_gets_500_and_retry_after() -> None:
    pair, caller, callee = connected()
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
    pair, caller, callee = connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    caller.reinvite(b"v=0\r\no=third\r\n", pair.now)
    pair.run(1)
    assert len(pair.sent("INVITE")) == 2
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Offer(b"v=0\r\no=third\r\n", "INVITE")


def give_up_reinvite(pair: Pair) -> None:
    handle = list(pair.alice.endpoint._transactions.clients.values())[-1]
    pair.alice.endpoint.cancel(handle, None, pair.now)
    pair.run(1)


def test_a_cancelled_reinvite_leaves_the_call_up() -> None:
    pair, caller, callee = connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    give_up_reinvite(pair)
    assert pair.sent("487 INVITE")
    assert callee.offer is None
    assert callee.phase is Phase.ESTABLISHED
    assert pair.alice.of(caller)[-1] == OfferRejected(487, "Request Terminated")


def test_a_change_of_ours_that_waited_for_one_that_was_cancelled_is_sent_then() -> None:
    pair, caller, callee = connected()
    caller.reinvite(b"v=0\r\no=theirs\r\n", pair.now)
    pair.run(1)
    callee.reinvite(OTHER, pair.now)
    give_up_reinvite(pair)
    assert pair.alice.of(caller)[-1] == Offer(OTHER, "INVITE")


def test_update_changes_the_session_without_an_ack() -> None:
    pair, caller, callee = connected()
    caller.update(OTHER, pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Offer(OTHER, "UPDATE")
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    assert pair.alice.of(caller)[-1] == RemoteAnswer(ANSWER)


def test_a_new_contact_in_a_reinvite_is_where_later_requests_go() -> None:
    pair, caller, callee = connected()
    pair.alice.endpoint.contact = lambda peer: "<sip:alice@10.0.0.1:5066>"  # type: ignore[method-assign]
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    callee.bye(None, pair.now)
    pair.flush()
    byes = pair.sent("BYE")
    assert isinstance(byes[0], Request)
    assert byes[0].target == "sip:alice@10.0.0.1:5066"


def test_a_peer_that_forgot_the_call_ends_it_when_asked_to_change_it() -> None:
    pair, caller, callee = connected()
    pair.alice.endpoint.release(caller)
    callee.reinvite(OTHER, pair.now)
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Ended("the peer does not know the call any more", "remote")


def test_a_refused_description_says_by_a_warning_what_was_wrong_with_it() -> None:
    """§13.3.1.3: a 488 "SHOULD include a Warning header field value explaining why the offer was rejected"."""
    pair, caller, callee = connected()
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    callee.reject_offer(488, pair.now)
    pair.call()
    pair.run(1)
    pair.bob.offered[-1].reject(488, None, (), pair.now)
    pair.run(1)
    warnings = [answer.get("warning") for answer in pair.sent("488 INVITE")]
    assert warnings == ['305 dialroom "Incompatible media format"'] * 2


def test_a_change_of_ours_that_waits_is_not_sent_across_one_of_the_peer() -> None:
    pair = Pair()
    pair.passes = lose("ACK")
    caller, callee = pair.connected()
    callee.reinvite(OTHER, pair.now)
    caller.reinvite(OTHER, pair.now)
    pair.run(0.1)
    assert pair.bob.of(callee)[-1] == Offer(OTHER, "INVITE")
    assert not pair.sent("INVITE", pair.bob)
    pair.passes = lambda _message: True
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    assert pair.sent("INVITE", pair.bob)
