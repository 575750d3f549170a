from ipaddress import ip_network

import pytest

from dialroom.routing.gateways import Admitted, MustAuthenticate, Stranger, admit

from .values import gateway

PRIVATE = [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("::1/128")]


def test_a_carrier_is_known_by_its_network() -> None:
    verdict = admit("192.0.2.7", [gateway("other", "198.51.100.0/24"), gateway("carrier", "192.0.2.0/24")], PRIVATE)
    assert isinstance(verdict, Admitted)
    assert verdict.gateway is not None
    assert verdict.gateway.name == "carrier"
    assert verdict.trace[-1].verdict == "matched"


def test_the_narrower_network_wins() -> None:
    wide = gateway("a_wide", "192.0.2.0/24", organisation="org_a")
    narrow = gateway("b_narrow", "192.0.2.7/32", organisation="org_b")
    verdict = admit("192.0.2.7", [wide, narrow], [])
    assert isinstance(verdict, Admitted)
    assert verdict.gateway is narrow


@pytest.mark.parametrize("source", ["127.0.0.1", "10.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_private_networks_may_call_without_a_gateway(source: str) -> None:
    verdict = admit(source, [], PRIVATE)
    assert isinstance(verdict, Admitted)
    assert verdict.gateway is None


@pytest.mark.parametrize("source", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "nonsense", ""])
def test_strangers_are_told_apart_with_a_reason(source: str) -> None:
    verdict = admit(source, [gateway("carrier", "198.51.100.0/24")], PRIVATE)
    assert isinstance(verdict, Stranger)
    assert verdict.trace[-1].verdict == "decided"


def test_a_gateway_with_a_username_must_prove_it() -> None:
    trunk = gateway("trunk", username="acme")
    asked = admit("192.0.2.7", [trunk], PRIVATE)
    assert isinstance(asked, MustAuthenticate)
    assert asked.gateways == (trunk,)
    proved = admit("192.0.2.7", [trunk], PRIVATE, authenticated_as=trunk.id)
    assert isinstance(proved, Admitted)
    assert proved.gateway is trunk


def test_digest_does_not_help_from_outside_the_gateways_networks() -> None:
    trunk = gateway("trunk", "198.51.100.0/24", username="acme")
    assert isinstance(admit("192.0.2.7", [trunk], PRIVATE, authenticated_as=trunk.id), Stranger)


def test_somebody_from_a_private_network_is_not_asked_to_prove_to_be_a_gateway() -> None:
    assert isinstance(admit("127.0.0.1", [gateway("trunk", username="acme")], PRIVATE), Admitted)


def test_a_gateway_with_neither_addresses_nor_username_admits_nobody() -> None:
    assert isinstance(admit("192.0.2.7", [gateway("open")], PRIVATE), Stranger)
