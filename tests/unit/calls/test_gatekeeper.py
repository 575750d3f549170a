from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest
from msgspec.structs import replace

from dialroom.calls.gatekeeper import MANY_CHALLENGED, PATIENCE, REALM, Gatekeeper
from dialroom.core.clock import Clock
from dialroom.rooms.values import Gateway
from dialroom.sip.address import Address
from dialroom.sip.admission import Admit, Challenge, Drop, Refuse
from dialroom.sip.facts import RequestFacts
from tests.support.clock import ManualClock
from tests.unit.routing.values import gateway
from tests.unit.sip.pair import make_side

LOOPBACK = [ip_network("127.0.0.0/8")]


class Gateways:
    """As much of a `GatewayStore` as is asked."""

    def __init__(self, *gateways: Gateway) -> None:
        self.gateways = gateways

    async def list(self) -> tuple[Gateway, ...]:
        return self.gateways


async def gatekeeper(*gateways: Gateway, strangers: str = "403", clock: Clock | None = None) -> Gatekeeper:
    keeper = Gatekeeper(Gateways(*gateways), LOOPBACK, strangers, clock)  # type: ignore[arg-type]
    await keeper.refresh()
    return keeper


def invite(source: str, authorization: str = "none", user: str | None = None) -> RequestFacts:
    return RequestFacts("INVITE", source, 5060, "udp", authorization=authorization, authenticated=user)


async def test_loopback_is_let_in_and_a_stranger_refused() -> None:
    keeper = await gatekeeper()
    assert isinstance(keeper.admit(invite("127.0.0.1")), Admit)
    verdict = keeper.admit(invite("192.0.2.9"))
    assert isinstance(verdict, Refuse)
    assert verdict.status == 403
    assert "192.0.2.9" in verdict.reason


async def test_strangers_may_get_no_answer_at_all() -> None:
    keeper = await gatekeeper(strangers="drop")
    assert isinstance(keeper.admit(invite("192.0.2.9")), Drop)


async def test_a_gateway_with_a_password_is_challenged_until_it_proves_itself() -> None:
    keeper = await gatekeeper(gateway("trunk", username="acme"))
    assert isinstance(keeper.admit(invite("192.0.2.9")), Challenge)
    assert isinstance(keeper.admit(invite("192.0.2.9", "stale", "acme")), Challenge)
    assert isinstance(keeper.admit(invite("192.0.2.9", "good", "acme")), Admit)


@pytest.mark.parametrize(("authorization", "user"), [("wrong", "acme"), ("good", "somebody")])
async def test_a_wrong_proof_does_not_let_in(authorization: str, user: str) -> None:
    keeper = await gatekeeper(gateway("trunk", username="acme"))
    assert not isinstance(keeper.admit(invite("192.0.2.9", authorization, user)), Admit)


async def test_who_was_challenged_and_does_not_come_back_gave_up_once() -> None:
    clock = ManualClock()
    keeper = await gatekeeper(gateway("trunk", username="acme"), clock=clock)
    silent, honest = replace(invite("192.0.2.9"), call_id="silent"), replace(invite("192.0.2.9"), call_id="honest")
    for each in (silent, silent, honest):
        keeper.admit(each)
    keeper.admit(replace(honest, authorization="good", authenticated="acme"))
    assert keeper.gave_up() == ()
    clock.set(PATIENCE)
    assert keeper.gave_up() == (silent,)
    assert keeper.gave_up() == ()


async def test_who_was_answered_otherwise_was_not_asked_for_credentials() -> None:
    clock = ManualClock()
    keeper = await gatekeeper(gateway("trunk", username="acme"), clock=clock)
    endpoint = make_side("10.0.0.2", admit=keeper.admit).endpoint
    of_no_call = (
        b"INVITE sip:1000@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=f\r\n"
        b"To: <sip:b@us>;tag=gone\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.9>\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    malformed = of_no_call.replace(b"c1", b"c2").replace(b"Content-Length: 0", b"no colon")
    for data in (of_no_call, malformed):
        endpoint.receive(data, Address("udp", "192.0.2.9", 5060), 1.0)
    assert [send.data.split(b" ")[1] for send in endpoint.take_sends()] == [b"481", b"400"]
    clock.set(PATIENCE)
    assert keeper.gave_up() == ()


async def test_only_so_many_challenged_calls_are_remembered() -> None:
    clock = ManualClock()
    keeper = await gatekeeper(gateway("trunk", username="acme"), clock=clock)
    for each in range(MANY_CHALLENGED + 10):
        keeper.admit(replace(invite("192.0.2.9"), call_id=str(each)))
    clock.set(PATIENCE)
    assert len(keeper.gave_up()) == MANY_CHALLENGED


async def test_passwords_are_found_in_our_realm_only() -> None:
    keeper = await gatekeeper(gateway("trunk", username="acme"))
    assert keeper.password(REALM, "acme") == "secret"
    assert keeper.password("elsewhere", "acme") is None
    assert keeper.password(REALM, "nobody") is None


async def test_a_gateway_made_later_is_known_after_a_refresh() -> None:
    store = Gateways()
    keeper = Gatekeeper(store, LOOPBACK, "403")  # type: ignore[arg-type]
    await keeper.refresh()
    store.gateways = (gateway("carrier", "192.0.2.0/24"),)
    assert isinstance(keeper.admit(invite("192.0.2.9")), Refuse)
    await keeper.refresh()
    assert isinstance(keeper.admit(invite("192.0.2.9")), Admit)


async def test_a_change_of_gateways_holds_within_a_moment() -> None:
    clock, store = ManualClock(), Gateways()
    keeper = Gatekeeper(store, LOOPBACK, "403", clock)  # type: ignore[arg-type]
    refreshing = asyncio.create_task(keeper.keep_fresh(clock, every=5.0))
    store.gateways = (gateway("carrier", "192.0.2.0/24"),)
    await clock.advance(4)
    assert isinstance(keeper.admit(invite("192.0.2.9")), Refuse)
    await clock.advance(1)
    assert isinstance(keeper.admit(invite("192.0.2.9")), Admit)
    refreshing.cancel()
