"""INFO, probes, and the order of requests within a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialroom.sip.address import Address
from dialroom.sip.session.context import ServerHandle
from dialroom.sip.session.events import (
    Acknowledged,
    Info,
    ProbeAnswered,
    ProbeFailed,
    RemoteAnswer,
)
from dialroom.sip.session.requests import send
from dialroom.sip.session.session import _HANDLERS, Session
from dialroom.sip.session.state import Phase
from tests.unit.sip.pair import ANSWER, OTHER, Pair, lose


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


def test_a_peer_too_busy_to_answer_a_probe_is_still_there() -> None:
    """RFC 5057 §5.1: 503 concerns the one transaction, not the dialog."""
    pair = Pair()
    _caller, callee = pair.connected()
    pair.alice.endpoint._config = replace(pair.alice.endpoint._config, max_transactions=0)
    callee.probe(pair.now)
    pair.run(1)
    assert pair.sent("503 OPTIONS")
    assert pair.bob.of(callee)[-1] == ProbeAnswered()


def test_a_phone_that_wants_no_calls_now_is_still_in_this_one() -> None:
    """Phones on "do not disturb" answer 480; RFC 5057 §5.1 has it end a usage, and OPTIONS belongs to none."""
    pair = Pair()
    caller, callee = pair.connected()

    def busy(session: Session, transaction: ServerHandle, now: float) -> None:
        session.respond(transaction, 480, now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_HANDLERS, "OPTIONS", busy)
        callee.probe(pair.now)
        pair.run(1)
    assert pair.sent("480 OPTIONS")
    assert pair.bob.of(callee)[-1] == ProbeAnswered()
    assert caller.phase is Phase.ESTABLISHED


def test_a_change_of_the_peer_may_come_while_we_probe_it() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    callee.probe(pair.now)
    caller.reinvite(OTHER, pair.now)
    pair.run(1)
    callee.answer_offer(ANSWER, pair.now)
    pair.run(1)
    assert ProbeAnswered() in pair.bob.of(callee)
    assert pair.alice.of(caller)[-1] == RemoteAnswer(ANSWER)


def test_an_info_of_a_package_we_did_not_ask_for_is_469() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    send(caller, "INFO", pair.now, lambda *_: None, headers=(("Info-Package", "conference"),), body=b"x")
    pair.run(1)
    (refusal,) = pair.sent("469 INFO")
    assert refusal.get("recv-info") == ""
    assert pair.bob.of(callee) == [Acknowledged(None)]


def test_digits_by_info_count_whatever_package_they_name() -> None:
    pair = Pair()
    caller, callee = pair.connected()
    headers = (("Info-Package", "dtmf"),)
    content_type = "Application/DTMF-Relay; charset=utf-8"
    send(caller, "INFO", pair.now, lambda *_: None, headers=headers, content_type=content_type, body=b"Signal=5")
    pair.run(1)
    assert pair.bob.of(callee)[-1] == Info(content_type, b"Signal=5")
