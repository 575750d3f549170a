from ipaddress import ip_network

import pytest

from dialroom.routing.decide import CallFacts, decide
from dialroom.routing.explain import explain
from dialroom.routing.gateways import Admitted, admit

from .values import gateway, number

LOOPBACK = [ip_network("127.0.0.0/8")]


@pytest.mark.parametrize(
    ("source", "to", "outcome", "words"),
    [
        ("127.0.0.1", "+12025550176", "ask_for_code", "asked for a meeting code"),
        ("127.0.0.1", "+12025550199", "join_room", "straight into room_x"),
        ("127.0.0.1", "+4930123456", "reject", "404 Not Found"),
        ("192.0.2.1", "+12025550176", "stranger", "192.0.2.1 is in no gateway's networks"),
        ("198.51.100.1", "+12025550176", "challenge", "prove by digest to be trunk"),
    ],
)
def test_what_would_happen_is_said_in_one_sentence(source: str, to: str, outcome: str, words: str) -> None:
    numbers = [number("+12025550176"), number("+12025550199", room="room_x")]
    gateways = [gateway("trunk", "198.51.100.0/24", username="acme")]
    admission = admit(source, gateways, LOOPBACK)
    admitted = isinstance(admission, Admitted)
    explanation = explain(admission, decide(CallFacts(to, to), numbers) if admitted else None)
    assert explanation.outcome == outcome
    assert words in explanation.summary
    assert explanation.trace


def test_whose_digest_is_asked_for_is_named_to_that_organisation_alone() -> None:
    gateways = [gateway(f"trunk_{each}", organisation=each, username=each) for each in ("org_a", "org_b")]
    admission = admit("198.51.100.1", gateways, LOOPBACK)
    assert "to be trunk_org_a." in explain(admission, None, "org_a").summary
    third = explain(admission, None, "org_c")
    assert "a gateway of another organisation" in third.summary
    assert "trunk" not in repr(third)
    assert "trunk_org_a, trunk_org_b" in explain(admission, None).summary
