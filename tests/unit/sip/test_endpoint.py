"""What an endpoint answers to strangers and friends: matching, checks in order, admission, bounds."""

from __future__ import annotations

import contextlib
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialroom.sip.address import Address
from dialroom.sip.admission import Admission, Admit, Challenge, Drop, Refuse
from dialroom.sip.errors import LocalError
from dialroom.sip.facts import RequestFacts
from dialroom.sip.message import Request, Response
from dialroom.sip.parser import parse
from tests.unit.sip.pair import ANSWER, Pair, Side, make_side

PEER = Address("udp", "192.0.2.1", 5060)


def request(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bK1",
    call_id: str = "c1",
    cseq: int = 1,
    to_tag: str = "",
    uri: str = "sip:room@us",
    via: str = "192.0.2.1",
    extra: str = "",
    body: str = "",
) -> bytes:
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch={branch}\r\nFrom: <sip:a@h>;tag=f\r\n"
        f"To: <sip:b@us>{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:a@192.0.2.1>\r\n"
        f"{extra}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def feed(side: Side, data: bytes, source: Address = PEER, now: float = 1.0) -> list[Response]:
    """What is answered."""
    side.endpoint.receive(data, source, now)
    side.drain()
    answers = [parse(send.data) for send in side.endpoint.take_sends()]
    return [answer for answer in answers if isinstance(answer, Response)]


def status(side: Side, data: bytes) -> int:
    """The one status answered."""
    answers = feed(side, data)
    assert len(answers) == 1
    return answers[0].status


@pytest.mark.parametrize(
    ("data", "expected", "header"),
    [
        (request("REGISTER"), 405, ("allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK")),
        (request("MESSAGE"), 405, None),
        (request("SUBSCRIBE"), 405, None),
        (request("FROBNICATE"), 501, ("allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK")),
        (request(uri="mailto:a@b"), 416, None),
        (request(uri="sips:room@us"), 416, None),
        (request(uri=f"sip:{'1' * 9000}@us"), 414, None),
        (request(extra="Require: 100rel, foo\r\nRequire: bar\r\n"), 420, ("unsupported", "foo, bar")),
        (request(extra="Content-Type: text/plain\r\n", body="hi"), 415, ("accept", "application/sdp")),
        (
            request(extra="Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", body="x"),
            415,
            ("accept-encoding", "identity"),
        ),
        (request(extra="Max-Forwards: 0\r\n"), 483, None),
        (request(extra="Contact: <sip:second@h>\r\n"), 400, None),
        (request().replace(b"Contact: <sip:a@192.0.2.1>", b"Contact: <sip:a@192.0.2.1>, <sip:second@h>"), 400, None),
        (request("BYE"), 481, None),
        (request("BYE", to_tag="unknown"), 481, None),
        (request("INVITE", to_tag="unknown"), 481, None),
        (request("CANCEL"), 481, None),
        (request("PRACK"), 481, None),
        (request("OPTIONS"), 200, ("accept", "application/sdp")),
        (request("OPTIONS", extra="Max-Forwards: 0\r\n"), 200, None),
        (request("OPTIONS", to_tag="unknown"), 481, None),
    ],
)
def test_a_request_outside_of_any_call_gets_its_status(
    data: bytes, expected: int, header: tuple[str, str] | None
) -> None:
    side = make_side("10.0.0.2")
    answer = feed(side, data)[0]
    assert answer.status == expected
    if header is not None:
        assert answer.get(header[0]) == header[1]
    assert side.endpoint.counts["transactions"] == 0


def test_a_stray_ack_or_response_or_keep_alive_is_absorbed() -> None:
    side = make_side("10.0.0.2")
    answers = b"SIP/2.0 200 OK\r\n" + request().split(b"\r\n", 1)[1]
    for data in (request("ACK"), request("ACK", to_tag="x"), answers, b"\r\n\r\n", b"\r\n", b"\x00", b"hello"):
        assert feed(side, data) == []
    assert side.offered == []


def test_a_retransmitted_invite_is_one_call_and_gets_the_last_response_again() -> None:
    side = make_side("10.0.0.2")
    assert status(side, request()) == 100
    assert status(side, request()) == 100
    side.offered[0].ring(180, None, 1.0)
    side.endpoint.take_sends()
    first, second = feed(side, request()), feed(side, request())
    assert bytes(first[0]) == bytes(second[0])
    assert first[0].status == 180
    assert len(side.offered) == 1


def test_the_same_request_by_two_ways_is_482() -> None:
    side = make_side("10.0.0.2")
    assert status(side, request()) == 100
    assert status(side, request(branch="z9hG4bKother")) == 482
    assert len(side.offered) == 1


def test_a_peer_of_rfc_2543_is_matched_without_a_unique_branch() -> None:
    side = make_side("10.0.0.2")
    assert status(side, request(branch="1")) == 100
    assert status(side, request(branch="1")) == 100
    assert status(side, request(branch="1", call_id="c2")) == 100
    assert len(side.offered) == 2


def test_answers_go_where_the_via_and_the_source_say() -> None:
    cases = [
        ("192.0.2.1:5099", Address("udp", "192.0.2.1", 4444), Address("udp", "192.0.2.1", 5099)),
        ("192.0.2.1:5099;rport", Address("udp", "192.0.2.1", 4444), Address("udp", "192.0.2.1", 4444)),
        ("10.9.9.9", Address("udp", "192.0.2.1", 4444), Address("udp", "192.0.2.1", 5060)),
        ("10.9.9.9", Address("udp", "45.60.70.80", 4444), Address("udp", "45.60.70.80", 4444)),
        ("45.60.70.81", Address("udp", "45.60.70.80", 4444), Address("udp", "45.60.70.80", 5060)),
        ("10.9.9.9;maddr=8.8.8.8", Address("udp", "192.0.2.1", 4444), Address("udp", "192.0.2.1", 5060)),
        ("10.9.9.9:5099", Address("tcp", "192.0.2.1", 4444, 7), Address("tcp", "192.0.2.1", 5099, 7)),
    ]
    for via, source, expected in cases:
        side = make_side("10.0.0.2")
        side.endpoint.receive(request("OPTIONS", via=via), source, 1.0)
        assert [send.target for send in side.endpoint.take_sends()] == [expected]


def test_a_cancel_of_another_transaction_is_481_and_the_call_rings_on() -> None:
    side = make_side("10.0.0.2")
    feed(side, request())
    assert status(side, request("CANCEL", branch="z9hG4bKother")) == 481
    assert [answer.status for answer in feed(side, request("CANCEL"))] == [200, 487]


def test_cancel_and_its_retransmission_are_both_answered() -> None:
    side = make_side("10.0.0.2")
    feed(side, request())
    feed(side, request("CANCEL"))
    assert status(side, request("CANCEL")) == 200


class Gate:
    """An admission hook that says what it is told to and remembers whom it saw."""

    def __init__(self, answer: Admission) -> None:
        self.answer = answer
        self.seen: list[RequestFacts] = []

    def __call__(self, facts: RequestFacts) -> Admission:
        self.seen.append(facts)
        return self.answer


def test_a_refused_stranger_costs_no_state_and_is_recorded_once() -> None:
    gate = Gate(Refuse(403, "no gateway has this address"))
    side = make_side("10.0.0.2", admit=gate)
    first, again = feed(side, request()), feed(side, request())
    assert bytes(first[0]) == bytes(again[0])
    assert first[0].status == 403
    assert b"gateway" not in bytes(first[0])
    assert side.endpoint.counts["transactions"] == 0
    assert [(refusal.status, refusal.reason) for refusal in side.refused] == [(403, "no gateway has this address")]
    assert len(gate.seen) == 1
    assert feed(side, request("ACK", to_tag=first[0].to.tag or "")) == []


def test_a_dropped_stranger_hears_nothing_whatever_it_sends() -> None:
    side = make_side("10.0.0.2", admit=Gate(Drop("silent")))
    strange = [request("OPTIONS"), request("REGISTER"), request("FOO"), request(extra="x\r\n")]
    belated = [request("BYE", to_tag="x"), request("INVITE", to_tag="x"), request("CANCEL")]
    for data in (request(), request(), *strange, *belated):
        assert feed(side, data) == []
    assert [refusal.status for refusal in side.refused] == [0, 0]


def test_a_malformed_invite_of_a_stranger_is_recorded() -> None:
    side = make_side("10.0.0.2")
    assert status(side, request(extra="no colon\r\n")) == 400
    assert [(refusal.status, refusal.reason) for refusal in side.refused] == [(400, "a header line has no colon")]


@pytest.mark.parametrize("where", ["From", "To", "Contact", "Record-Route"])
@pytest.mark.parametrize("what", ["\x00", "\r", "\n", "\x07"])
def test_a_control_character_in_an_address_is_the_senders_fault(where: str, what: str) -> None:
    for value in (f'"a{what}b" <sip:a@h>;tag=f', f"<sip:a{what}@h>;tag=f", f"<sip:a@[fe80::1%{what}]>;tag=f",
                  f'<sip:a@h;x="{what}">;tag=f', f'<sip:a@h>;tag="{what}"'):  # fmt: skip
        side = make_side("10.0.0.2")
        lines = request().decode().split("\r\n")
        kept = [line for line in lines[:-2] if not line.startswith(where + ":")]
        data = "\r\n".join([*kept, f"{where}: {value}", "", ""]).encode()
        answers = feed(side, data)
        for session in side.offered:
            session.accept(ANSWER, 1.0)
            session.bye(None, 1.0)
        assert [answer.status for answer in answers] in ([400], [481], [100])
        side.endpoint.receive(data.replace(b"Call-ID: c1", b"Call-ID c1"), PEER, 1.0)


def test_without_digest_a_challenge_becomes_a_refusal() -> None:
    side = make_side("10.0.0.2", admit=Gate(Challenge("r")))
    assert status(side, request()) == 403


def test_the_hook_sees_the_facts_cleaned() -> None:
    gate = Gate(Admit())
    side = make_side("10.0.0.2", admit=gate)
    extra = (
        "P-Asserted-Identity: <tel:+1555123>\r\nX-Team: \x1b[31mred\r\nUser-Agent: p\r\nAuthorization: Basic secret\r\n"
    )
    feed(side, request(uri="sip:%31%32@us", extra=extra))
    facts = gate.seen[0]
    assert (facts.method, facts.source_host, facts.transport, facts.request_user) == (
        "INVITE",
        "192.0.2.1",
        "udp",
        "12",
    )
    assert (facts.asserted_identity, facts.asserted_user) == ("tel:+1555123", "+1555123")
    assert (facts.header("X-TEAM"), facts.header("authorization")) == ("[31mred", None)


def test_the_hook_is_not_asked_about_requests_in_a_call() -> None:
    gate = Gate(Admit())
    pair = Pair(bob=make_side("10.0.0.2", admit=gate))
    caller, callee = pair.connected()
    gate.answer = Drop()
    caller.info("application/dtmf", b"1", pair.now)
    pair.run(1)
    assert len(pair.bob.of(callee)) == 2


def test_too_many_transactions_are_refused_with_503_and_calls_in_progress_can_end() -> None:
    side = make_side("10.0.0.2", max_transactions=4)
    for number in range(4):
        assert status(side, request(branch=f"z9hG4bK{number}", call_id=f"c{number}")) == 100
    overload = feed(side, request(branch="z9hG4bKx", call_id="x"))[0]
    assert (overload.status, overload.get("retry-after")) == (503, "5")
    session = side.offered[0]
    bye = request("BYE", branch="z9hG4bKbye", call_id="c0", cseq=2, to_tag=session.local_tag)
    assert [answer.status for answer in feed(side, bye)] == [200, 487]


def test_too_many_sessions_are_refused_with_503() -> None:
    side = make_side("10.0.0.2", max_sessions=1)
    assert status(side, request()) == 100
    assert status(side, request(branch="z9hG4bKx", call_id="x")) == 503


def test_a_flood_of_refused_strangers_leaves_a_bounded_trace() -> None:
    side = make_side("10.0.0.2", admit=Gate(Refuse(403, "stranger")))
    for number in range(6000):
        side.endpoint.receive(request(branch=f"z9hG4bK{number}", call_id=str(number)), PEER, 1.0)
    side.endpoint.take_sends()
    assert len(side.endpoint._door._refused) == 4096
    assert side.endpoint.counts["transactions"] == 0


def test_everything_is_forgotten_when_a_half_open_flood_is_over() -> None:
    side = make_side("10.0.0.2")
    for number in range(200):
        feed(side, request(branch=f"z9hG4bK{number}", call_id=str(number)))
    for session in side.offered:
        session.accept(ANSWER, 2.0)
    now = 2.0
    while (deadline := side.endpoint.deadline) is not None and now < 200:
        now = max(now, deadline)
        side.endpoint.handle_timeout(now)
        side.endpoint.take_sends()
        side.drain()
    assert side.endpoint.counts["transactions"] == side.endpoint.counts["sessions"] == 0
    assert now < 80


def test_only_what_can_be_called_is_called() -> None:
    side = make_side("10.0.0.2")
    for target in ("tel:+15551234", "nonsense", "mailto:a@b", "sip:a b@h", "sip:h\r\nEvil: 1"):
        with pytest.raises(LocalError):
            side.endpoint.invite(target=target, from_="sip:us@h", sdp=None, now=1.0)


def test_a_failed_transport_fails_the_call() -> None:
    pair = Pair()
    session = pair.alice.endpoint.invite(target="sip:b@10.0.0.2", from_="sip:a@h", sdp=None, now=pair.now)
    send = pair.alice.endpoint.take_sends()[0]
    assert send.transaction is not None
    pair.alice.endpoint.transport_failed(send.transaction, pair.now)
    pair.alice.drain()
    assert [event.status for event in pair.alice.of(session) if hasattr(event, "status")] == [503]
    assert pair.quiet()


METHODS = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK", "REGISTER"]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_no_sequence_of_messages_in_a_call_disturbs_the_endpoint(seed: int) -> None:
    """Random methods, tags, numbers, branches and bodies in a running call, and random acts of its user."""
    dice = random.Random(seed)
    side = make_side("10.0.0.2")
    feed(side, request(extra="Require: 100rel\r\n" if seed % 2 else ""))
    session = side.offered[0]
    acts = [
        lambda now: session.ring(183, ANSWER, now),
        lambda now: session.accept(ANSWER, now),
        lambda now: session.answer_offer(ANSWER, now),
        lambda now: session.reject_offer(488, now),
        lambda now: session.reinvite(ANSWER, now),
        lambda now: session.bye(None, now),
        lambda now: session.probe(now),
    ]
    now = 1.0
    for _ in range(25):
        now += dice.choice([0.0, 0.01, 0.6, 5.0, 40.0])
        if dice.random() < 0.3:
            with contextlib.suppress(LocalError):
                dice.choice(acts)(now)
        side.endpoint.handle_timeout(now)
        body = dice.choice(["", "v=0"])
        data = request(
            dice.choice(METHODS),
            branch=f"z9hG4bK{dice.randrange(6)}",
            cseq=dice.randrange(5),
            to_tag=dice.choice(["", session.local_tag, session.local_tag, "other"]),
            extra=dice.choice(["", "RAck: 1 1 INVITE\r\n", "RAck: x\r\n", "Contact: <tel:1>\r\n"])
            + ("Content-Type: application/sdp\r\n" if body else ""),
            body=body,
        )
        for send in side.endpoint.take_sends():
            sent = parse(send.data)
            if isinstance(sent, Request) and sent.method != "ACK" and dice.random() < 0.5:
                answer = Response(dice.choice([100, 200, 200, 401, 481, 491, 500]), "x")
                answer.copy(sent, ("via", "from", "to", "call-id", "cseq"))
                side.endpoint.receive(bytes(answer), PEER, now)
        side.endpoint.receive(data, PEER, now)
        side.drain()
    for _ in range(600):
        deadline = side.endpoint.deadline
        if deadline is None:
            break
        now = max(now, deadline)
        side.endpoint.handle_timeout(now)
        side.endpoint.take_sends()
    endings = [event for event in side.of(session) if type(event).__name__ in ("Ended", "Cancelled", "Failed")]
    assert len(endings) <= 1
    assert not endings or side.of(session)[-1] is endings[0]


def test_trying_repeats_the_timestamp_of_the_request() -> None:
    side = make_side("10.0.0.2")
    (trying,) = feed(side, request(extra="Timestamp: 54.25\r\n"))
    assert (trying.status, trying.get("timestamp")) == (100, "54.25")


ISUP = "Content-Type: application/isup;version=itu-t92+\r\nContent-Disposition: signal;handling="


@pytest.mark.parametrize(("handling", "expected"), [("optional", 100), ("OPTIONAL", 100), ("required", 415), ("", 415)])
def test_a_body_that_need_not_be_understood_is_no_reason_to_refuse_a_call(handling: str, expected: int) -> None:
    side = make_side("10.0.0.2")
    assert status(side, request(extra=f"{ISUP}{handling}\r\n", body="x")) == expected
    assert [session.remote_sdp for session in side.offered] == [None] * (expected == 100)


def test_a_full_endpoint_tells_who_asks_by_options() -> None:
    """§11.2: "the response code chosen MUST be the same that would have been chosen had the request been an INVITE"."""
    side = make_side("10.0.0.2", max_sessions=0)
    (answer,) = feed(side, request("OPTIONS"))
    assert (answer.status, answer.get("retry-after")) == (503, "5")


def test_who_asks_by_options_hears_that_no_calls_are_taken() -> None:
    taken = [False, True]
    side = make_side("10.0.0.2", takes_calls=lambda: taken[0])
    (answer,) = feed(side, request("OPTIONS"))
    assert (answer.status, answer.get("retry-after")) == (503, "5")
    taken.pop(0)
    assert status(side, request("OPTIONS")) == 200


def test_a_refusal_is_repeated_only_as_long_as_a_request_is() -> None:
    admissions: list[Admission] = [Refuse(403, "a stranger"), Admit()]
    side = make_side("10.0.0.2", admit=lambda _facts: admissions[0])
    assert feed(side, request(), now=1.0)[0].status == 403
    admissions.pop(0)
    assert feed(side, request(), now=32.0)[0].status == 403
    assert feed(side, request(), now=66.0)[0].status == 100


def test_a_caller_who_cannot_be_reached_for_a_moment_gets_its_answer_again() -> None:
    side = make_side("10.0.0.2")
    side.endpoint.receive(request(), PEER, 1.0)
    (trying,) = side.endpoint.take_sends()
    assert trying.transaction is not None
    side.endpoint.transport_failed(trying.transaction, 1.0)
    side.drain()
    side.offered[0].accept(ANSWER, 1.0)
    side.endpoint.handle_timeout(1.5)
    assert [parse(send.data).status for send in side.endpoint.take_sends()] == [200]  # type: ignore[union-attr]


def test_one_call_cannot_take_every_transaction() -> None:
    side = make_side("10.0.0.2")
    side.endpoint.receive(request(), PEER, 1.0)
    side.drain()
    session = side.offered[0]
    session.accept(ANSWER, 1.0)
    side.endpoint.take_sends()
    statuses = [
        status(side, request("INFO", branch=f"z9hG4bKinfo{number}", cseq=number, to_tag=session.local_tag))
        for number in range(2, 1002)
    ]
    assert statuses[:100] == [200] * 100
    assert statuses[-1] == 500
    assert side.endpoint.counts["transactions"] < 600
    assert status(side, request("BYE", branch="z9hG4bKbye", cseq=1002, to_tag=session.local_tag)) == 200


def test_a_flood_of_long_requests_of_strangers_leaves_a_short_trace() -> None:
    side = make_side("10.0.0.2", admit=Gate(Refuse(403, "a stranger")))
    padding = "".join(f"Via: SIP/2.0/UDP {'h' * 200}{number};branch=z9hG4bK{'x' * 500}\r\n" for number in range(60))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(500):
        side.endpoint.receive(request(branch=f"z9hG4bK{'y' * 7000}{number}", extra=padding), PEER, 1.0)
        side.endpoint.take_sends()
        side.endpoint.take_happenings()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 500 * 2_000


def test_the_headers_kept_of_a_request_are_few() -> None:
    gate = Gate(Refuse(403, "a stranger"))
    side = make_side("10.0.0.2", admit=gate)
    many = "".join(f"X-Number: {number}\r\n" for number in range(100))
    feed(side, request(extra=f"{many}Privacy: id\r\n"))
    assert gate.seen[0].headers[:2] == (("privacy", "id"), ("x-number", "0"))
    assert len(gate.seen[0].headers) == 32
