"""Each message of RFC 4475 and RFC 5118 gets its verdict, and leaves the endpoint in good health."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialroom.sip.address import Address
from dialroom.sip.message import Response
from dialroom.sip.parser import parse
from tests.conformance.verdicts import RFC4475, RFC5118
from tests.unit.sip.pair import Side, make_side

DATA = Path(__file__).parents[2].parent / "shared" / "data"
CASES = [(f"rfc4475/{name}.dat", verdict) for name, (verdict, _) in RFC4475.items()]
CASES += [(f"rfc5118/{name}", verdict) for name, (verdict, _) in RFC5118.items()]

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(),
    reason=f"the torture messages of RFC 4475 and 5118 are not at {DATA}: SIP conformance is UNTESTED",
)

HEALTHY = (
    b"OPTIONS sip:us@x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKalive\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n"
    b"Call-ID: alive\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def feed(side: Side, data: bytes) -> list[Response]:
    """The endpoint's answers to one datagram."""
    side.endpoint.receive(data, Address("udp", "192.0.2.9", 5060), 1.0)
    answers = [parse(send.data) for send in side.endpoint.take_sends()]
    side.drain()
    return [answer for answer in answers if isinstance(answer, Response)]


@pytest.mark.parametrize(("name", "verdict"), CASES, ids=[name for name, _ in CASES])
def test_the_message_gets_its_verdict(name: str, verdict: int | str) -> None:
    side = make_side("10.0.0.2")
    answers = feed(side, (DATA / name).read_bytes())
    if verdict == "call":
        assert [answer.status for answer in answers] == [100]
        assert len(side.offered) == 1
    elif verdict == "dropped":
        assert answers == []
        assert side.endpoint.dropped == 1
    else:
        assert [answer.status for answer in answers] == [verdict]
    assert [answer.status for answer in feed(side, HEALTHY)] == [200]


def test_no_message_is_without_a_verdict() -> None:
    files = {f"{path.parent.name}/{path.name}" for path in DATA.glob("rfc*/*")}
    assert files == {name for name, _ in CASES}
    assert (len(RFC4475), len(RFC5118)) == (49, 12)


@pytest.mark.parametrize("name", [name for name, verdict in CASES if isinstance(verdict, int)])
def test_every_answer_echoes_what_identifies_the_request(name: str) -> None:
    request = (DATA / name).read_bytes()
    answer = feed(make_side("10.0.0.2"), request)[0]
    assert answer.get("via") is not None
    assert answer.get("cseq") is not None
    for header in ("call-id", "cseq", "from"):
        assert b" ".join((answer.get(header) or "").encode().split()) in b" ".join(request.split())


def test_escapes_in_the_user_part_are_decoded_for_routing_and_cannot_change_the_host() -> None:
    side = make_side("10.0.0.2")
    feed(side, (DATA / "rfc4475/esc01.dat").read_bytes())
    facts = side.offered[0].facts
    assert facts.request_user == "sips:user@example.com"
    assert facts.to_user == "user"
    assert facts.from_user == "I have spaces"


def test_folded_and_compact_headers_are_read() -> None:
    message = parse((DATA / "rfc4475/wsinv.dat").read_bytes())
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert (message.to.tag, message.from_.tag) == ("1918181833n", "98asjd8")
    assert (message.cseq.number, message.get("max-forwards")) == (9, "0068")
    assert (message.via.transport, message.via.host, message.via.branch) == ("udp", "192.0.2.2", "390skdjuw")
    assert message.contact is not None
    assert message.contact.display_name == 'Quoted string ""'
    assert message.sdp is not None
