"""A proxy between phone and server, as carriers and call centres have one: all that belongs to a call goes through it,
also what the server begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Phones
from .support.browser import Browser
from .support.kamailio import Kamailio
from .support.server import DialroomServer, Room, steps
from .support.sipp import Scenario, sdp


@pytest.fixture
def proxy(server: DialroomServer, tmp_path: Path) -> Iterator[Kamailio]:
    """One that reaches the server by UDP."""
    with Kamailio(tmp_path / "kamailio", server) as proxy:
        yield proxy


@pytest.mark.parametrize("to_server", ["udp", "tcp"])
@pytest.mark.parametrize("from_phone", ["udp", "tcp"])
def test_a_call_through_a_proxy_is_held_resumed_and_hung_up_by_the_phone(
    server: DialroomServer,
    room: Room,
    phones: Phones,
    browser: Browser,
    tmp_path: Path,
    from_phone: str,
    to_server: str,
) -> None:
    browser.join(room.url)
    with Kamailio(tmp_path / "kamailio", server, transport=to_server) as proxy:
        phone = phones()
        phone.dial(proxy.sip(transport=from_phone))
        phone.press(room.code)
        browser.hears(440)
        phone.hears(1000)
        phone.hold()
        server.step("media_changed")
        browser.hears_no(440)
        phone.resume()
        browser.hears(440)
        phone.hang_up()
        record = server.ended_call()
        assert [proxy.passed(method) for method in ("INVITE", "ACK", "BYE")] == [3, 3, 1], proxy.log()
    assert (record["ending"]["reason"], record["ending"]["by"]) == ("caller_hung_up", "caller")
    assert record["source"].startswith(f"{to_server}:127.0.0.1:")
    assert steps(record).count("media_changed") == 2


@pytest.mark.parametrize("from_phone", ["udp", "tcp"])
def test_the_servers_bye_takes_the_way_back_through_the_proxy(
    server: DialroomServer, room: Room, phones: Phones, proxy: Kamailio, from_phone: str
) -> None:
    phone = phones()
    phone.dial(proxy.sip(transport=from_phone))
    phone.press(room.code)
    person = server.participant(room, "phone")
    server.api("DELETE", f"/participants/{person['id']}")
    phone.hears_prompt("removed_by_host")
    phone.wait_for("CALL_CLOSED")
    assert server.ended_call()["ending"]["by"] == "host"
    assert proxy.passed("BYE", by=server.sip_port) == 1, proxy.log()


def test_a_call_cancelled_through_a_proxy(server: DialroomServer, proxy: Kamailio) -> None:
    scenario = Scenario().invite(sdp()).expect(100).cancel().expect(200).expect(487).ack_refusal()
    with server.standing_still() as go_on, scenario.running(proxy.port):
        proxy.waits_for("CANCEL")
        go_on()
    ending = server.ended_call()["ending"]
    assert (ending["result"], ending["sip_code"], ending["by"]) == ("cancelled", 487, "caller")
