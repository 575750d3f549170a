"""Calls that are stored by one process and taken up by the next."""

from __future__ import annotations

import msgspec
import pytest

from dialroom.sip.errors import LocalError
from dialroom.sip.session.events import (
    Acknowledged,
    Answered,
    Ended,
    Offer,
)
from dialroom.sip.session.state import SessionState
from tests.unit.sip.pair import ANSWER, OTHER, Pair, lose, make_side


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


def test_a_restored_call_does_not_speak_by_a_stream_that_is_somebody_elses_now() -> None:
    pair = Pair(transport="tcp")
    pair.passes = lose("ACK")
    pair.call()
    pair.run(0.1)
    callee = pair.bob.offered[0]
    callee.accept(ANSWER, pair.now)
    pair.run(0.1)
    state = callee.state
    assert state.dialog.flow.connection == 1
    successor = make_side("10.0.0.2")
    successor.endpoint.connection_opened(1)
    restored = successor.endpoint.restore(state, pair.now)
    successor.endpoint.handle_timeout(pair.now + 1)
    restored.probe(pair.now)
    again, probe = successor.endpoint.take_sends()
    assert again.data.startswith(b"SIP/2.0 200 ")
    assert probe.data.startswith(b"OPTIONS ")
    assert (again.target.connection, probe.target.connection) == (None, None)


def test_a_call_stored_with_our_offer_unanswered_takes_no_other_offer_before_its_answer() -> None:
    pair = Pair()
    pair.passes = lose("ACK")
    caller = pair.call(None)
    pair.run(0.1)
    callee = pair.bob.offered[0]
    callee.accept(OTHER, pair.now)
    pair.run(0.1)
    caller.answer_offer(ANSWER, pair.now)
    state = callee.state
    pair.bob = make_side("10.0.0.2")
    restored = pair.bob.endpoint.restore(state, pair.now)
    caller.update(OTHER, pair.now)
    pair.run(0.1)
    assert pair.sent("491 UPDATE")
    pair.passes = lambda _message: True
    pair.run(4)
    assert pair.bob.of(restored) == [Acknowledged(ANSWER)]
