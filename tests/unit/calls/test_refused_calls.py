"""Who is not let in, on real SIP sockets on loopback: the answer they get, and what is on record of it."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest
import structlog

from dialroom.calls.limits import LobbyLimits
from dialroom.core.ending import Ending
from dialroom.core.limits import Bucket, Buckets
from dialroom.media.protocol import OpenLeg
from dialroom.sip.facts import RequestFacts
from dialroom.sip.session.events import Failed
from tests.support.clock import ManualClock
from tests.unit.routing.values import gateway

from .switchboard_room import CODE, OFFER, OUR_NUMBER, House, SipCaller, until


async def test_an_unknown_number_is_refused_with_its_reason_on_record(house: House, caller: SipCaller) -> None:
    caller.dial(house.port, user="+4930123456")
    failed = await caller.hears(Failed)
    assert failed.status == 404
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "unknown_number", 404, "server")
    assert record.trace
    assert house.calls.told == ["call.refused"]


@pytest.mark.parametrize("dialled_on", [f",,{CODE}%23", f"%2C%2C{CODE}", f"p{CODE}", f";{CODE}", f";postd=pp{CODE}"])
@pytest.mark.parametrize("number", ["9999", "+4930123456", OUR_NUMBER])
async def test_a_code_dialled_with_a_number_is_neither_on_record_nor_in_the_log(
    house: House, caller: SipCaller, number: str, dialled_on: str
) -> None:
    with structlog.testing.capture_logs() as log:
        caller.dial(house.port, user=number + dialled_on)
        record = await house.recorded(lambda each: each.ending or each.answered_at)
    assert record.to_number == number
    assert CODE not in repr(record)
    assert CODE not in repr(log)


async def test_a_stranger_gets_403_and_a_record(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.allowed = [ip_network("192.0.2.0/24")]
    await house.start()
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 403
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending is not None
    assert record.ending.reason == "stranger"
    assert "127.0.0.1" in record.trace[-1].why


async def test_a_gateway_proves_itself_by_digest_and_is_on_record(house: House, caller: SipCaller) -> None:
    from dialroom.sip.auth import Credentials

    await house.stop()
    house.allowed = []
    house.gateways.gateways = (gateway("trunk", username="acme"),)
    await house.start()
    await house.room()
    caller.dial(house.port, credentials=Credentials("acme", "secret"))
    await caller.answered()
    record = await house.recorded(lambda each: each.state == "answered")
    assert record.gateway == "gw_trunk"


async def test_a_wrong_password_gets_in_nowhere(house: House, caller: SipCaller) -> None:
    from dialroom.sip.auth import Credentials

    await house.stop()
    house.allowed = []
    house.gateways.gateways = (gateway("trunk", username="acme"),)
    await house.start()
    caller.dial(house.port, credentials=Credentials("acme", "guess"))
    assert (await caller.hears(Failed)).status in (401, 403)
    assert house.media.sent(OpenLeg) == []


async def test_no_codec_in_common_is_488(house: House, caller: SipCaller) -> None:
    caller.dial(house.port, sdp=OFFER.replace(b"RTP/AVP 0 8 101", b"RTP/AVP 18"))
    assert (await caller.hears(Failed)).status == 488
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "no_common_media", 488, "server")
    assert house.media.legs == {}


async def test_no_free_port_is_503(house: House, caller: SipCaller) -> None:
    house.media.refuse_next(OpenLeg, "no_port")
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 503
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "no_capacity", 503, "server")


async def test_a_full_server_says_503(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.max_calls = 0
    await house.start()
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 503
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending is not None
    assert record.ending.reason == "no_capacity"


async def test_a_refused_call_of_a_gateway_is_on_record_with_its_organisation(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.max_calls = 0
    house.gateways.gateways = (gateway("carrier", "127.0.0.1/32", organisation="org_b"),)
    await house.start()
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 503
    record = await house.recorded(lambda each: each.state == "ended")
    assert (record.organisation, record.gateway) == ("org_b", "gw_carrier")


async def test_a_call_that_cannot_be_understood_is_not_called_a_strangers(house: House, caller: SipCaller) -> None:
    caller.dial(house.port, headers=[("Require", "telepathy")])
    assert (await caller.hears(Failed)).status == 420
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "bad_request", 420, "server")


async def test_a_flood_of_refused_calls_is_counted_not_recorded(house: House) -> None:
    await house.stop()
    house.max_calls = 0
    await house.start()
    callers = [SipCaller() for _ in range(3)]
    house.switchboard._refusals = Bucket(house.clock, rate=0.0, burst=1)
    for each in callers:
        await each.start()
        each.dial(house.port)
        assert (await each.hears(Failed)).status == 503
        await each.close()
    await house.stop()  # nothing is still being recorded
    assert len(house.calls.records) == 1


async def test_a_flood_of_one_source_to_numbers_we_do_not_have_is_counted_not_recorded(house: House) -> None:
    house.switchboard._refusals_by_source = Buckets(house.clock, rate=0.0, burst=1)
    callers = [SipCaller() for _ in range(3)]
    for each in callers:
        await each.start()
        each.dial(house.port, user="+4930123456")
        assert (await each.hears(Failed)).status == 404
        await each.close()
    await house.stop()  # nothing is still being recorded
    assert len(house.calls.records) == 1


async def test_all_addresses_of_one_ipv6_line_are_one_source(house: House) -> None:
    house.switchboard._refusals_by_source = Buckets(house.clock, rate=0.0, burst=1)
    for host in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2::3", "2001:db8:1:3::1"):
        house.switchboard.on_refused(RequestFacts("INVITE", host, 5060, "udp"), 403, "stranger")
    await until(lambda: len(house.calls.records) == 2)
    await house.stop()
    sources = sorted(each.source for each in house.calls.records.values())
    assert sources == ["udp:2001:db8:1:2::1:5060", "udp:2001:db8:1:3::1:5060"]


async def test_one_caller_gets_no_further_line_until_one_of_theirs_is_in_a_room(
    house: House, caller: SipCaller
) -> None:
    await house.stop()
    house.lobby = LobbyLimits(caller=1)
    await house.start()
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    second, third = SipCaller(), SipCaller()
    for each in (second, third):
        await each.start()
    second.dial(house.port)
    assert (await second.hears(Failed)).status == 486
    await until(lambda: [each for each in house.calls.records.values() if each.state == "ended"])
    (refused,) = [each.ending for each in house.calls.records.values() if each.state == "ended"]
    assert refused == Ending("rejected", "too_many_calls_of_caller", 486, "server")
    caller.press(CODE)
    await until(lambda: [each for each in house.calls.records.values() if each.state == "in_room"])
    third.dial(house.port)
    await third.answered()
    await second.close()
    await third.close()


async def test_a_call_that_ended_leaves_room_for_the_next(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.lobby = LobbyLimits(organisation=1)
    await house.start()
    caller.dial(house.port)
    await caller.answered()
    caller.invite.bye()
    await until(lambda: house.switchboard.running == 0)
    caller.dial(house.port)
    await caller.answered()


async def test_calls_that_arrive_at_once_are_no_more_than_there_is_capacity_for(house: House) -> None:
    await house.stop()
    house.max_calls = 2
    await house.start()
    callers = [SipCaller() for _ in range(5)]
    for each in callers:
        await each.start()
    for each in callers:
        each.dial(house.port)
    await until(lambda: len(house.calls.records) == 5)
    await until(lambda: len(house.media.legs) == 2)
    endings = [each.ending.reason for each in house.calls.records.values() if each.ending]
    assert endings == ["no_capacity"] * 3
    for each in callers:
        await each.close()


async def test_a_caller_who_never_gives_credentials_is_on_record(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.allowed = []
    house.gateways.gateways = (gateway("trunk", username="acme"),)
    house.clock = ManualClock()
    await house.start()
    watching = asyncio.create_task(house.switchboard.keep_asking_who_came_back())
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 401
    assert house.calls.records == {}
    await until(lambda: house.clock.sleeping)  # type: ignore[attr-defined]
    await house.clock.advance(40.0)
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "not_authenticated", 401, "server")
    watching.cancel()


async def test_a_record_names_no_gateway_of_another_organisation(house: House, caller: SipCaller) -> None:
    theirs = gateway("secret carrier", "192.0.2.0/24", organisation="org_b")
    house.gateways.gateways = (theirs, gateway("our carrier", "198.51.100.0/24"))
    await house.switchboard.desk.gatekeeper.refresh()
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    record = await house.recorded(lambda each: each.trace)
    assert "our carrier" in repr(record.trace)
    assert "secret carrier" not in repr(record.trace)
