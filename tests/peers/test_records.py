"""What a developer learns of a call: its record, and webhooks whose signature holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Phones
from .support.baresip import Baresip
from .support.browser import Browser
from .support.server import DialroomServer, Room, steps
from .support.webhooks import Receiver


@pytest.fixture
def receiver(server: DialroomServer) -> Iterator[Receiver]:
    """A webhook receiver subscribed to everything."""
    with Receiver() as receiver:
        webhook = receiver.subscribe(server)
        yield receiver
        assert receiver.rejected == []
        server.api("DELETE", f"/webhooks/{webhook['id']}")


def test_a_caller_who_hangs_up_leaves_and_the_record_tells_the_whole_call(
    server: DialroomServer, room: Room, guest: Browser, phones: Phones
) -> None:
    phone = phones(user="+15550001111", codec="G722")
    phone.dial(server.sip())
    phone.press(room.code)
    guest.hears(440)
    phone.hang_up()
    guest.sees_no_tile("+1 ••• 111")
    record = server.ended_call()
    assert record["ending"] == {"result": "completed", "reason": "caller_hung_up", "sip_code": 200, "by": "caller"}
    assert (record["from_number"], record["to_number"], record["codec"]) == ("+15550001111", "1000", "G722")
    assert record["room"] == room.id
    way_in = ["answered", "code_asked", "code_accepted", "joined"]
    assert [what for what in steps(record) if what in way_in] == way_in
    assert record["trace"][-1]["verdict"] == "decided"
    assert record["statistics"]["packets_received"] > 50
    assert record["statistics"]["packets_sent"] > 50
    assert record["statistics"]["loss"] < 0.05
    assert record["statistics"]["mos"] > 3.5
    person = server.api("GET", f"/participants/{record['participant']}")
    assert person["left_reason"] == "left"
    assert room.code not in str(record)


def test_a_call_ended_by_api_gets_bye_and_its_reason_is_recorded(
    server: DialroomServer, room: Room, caller: Baresip
) -> None:
    server.api("POST", f"/rooms/{room.id}/end")
    caller.wait_for("CALL_CLOSED")
    ending = server.ended_call()["ending"]
    assert (ending["result"], ending["reason"], ending["by"]) == ("completed", "session_ended", "host")


def test_webhooks_tell_a_call_in_order_and_are_signed(
    server: DialroomServer, room: Room, phones: Phones, receiver: Receiver
) -> None:
    phone = phones(user="+15550001111")
    phone.dial(server.sip())
    phone.press(room.code)
    person = server.participant(room, "phone")
    phone.hang_up()
    call = server.ended_call()["id"]
    ended = receiver.wait_for("call.ended", lambda event: event.data["call"]["id"] == call)
    assert ended.data["call"]["ending"]["reason"] == "caller_hung_up"
    receiver.wait_for("session.ended", lambda event: person["session"] in str(event.data))
    about_call = [each.type for each in receiver.received if each.type.startswith("call.")]
    assert about_call == ["call.received", "call.answered", "call.joined", "call.ended"]
    about_session = [each.type for each in receiver.received if not each.type.startswith("call.")]
    assert about_session == ["session.started", "participant.joined", "participant.left", "session.ended"]
    joined = receiver.wait_for("participant.joined").data["participant"]
    assert (joined["kind"], joined["phone_number"]) == ("phone", "+15550001111")
    left = receiver.wait_for("participant.left").data["participant"]
    assert left["left_at"] is not None
    assert len({each.id for each in receiver.received}) == len(receiver.received)


def test_an_event_can_be_sent_again(server: DialroomServer, room: Room, phones: Phones, receiver: Receiver) -> None:
    phone = phones()
    phone.dial(server.sip())
    received = receiver.wait_for("call.received")
    phone.hang_up()
    receiver.wait_for("call.ended")
    event = next(each for each in server.api("GET", "/events?type=call.received")["items"] if each["id"] == received.id)
    assert server.api("POST", f"/events/{event['id']}/replay")["deliveries"] == 1
    server.until(
        lambda: [each.id for each in receiver.received].count(received.id),
        lambda count: count == 2,
        "a second delivery",
    )


def test_a_stranger_gets_403_and_a_record(tmp_path: Path, phones: Phones) -> None:
    with DialroomServer(tmp_path / "server", sip_allowed_networks="10.0.0.0/8") as server:
        phone = phones()
        assert "403" in phone.dial_refused(server.sip())
        record = server.until(lambda: server.api("GET", "/calls")["items"], bool, "a record of the stranger's call")[0]
        assert record["ending"] == {"result": "rejected", "reason": "stranger", "sip_code": 403, "by": "server"}
        assert record["trace"]


def test_a_number_that_is_not_ours_is_refused_with_a_record_that_says_why(
    server: DialroomServer, phones: Phones
) -> None:
    phone = phones()
    assert "404" in phone.dial_refused(server.sip("+14155550123"))
    record = server.ended_call()
    assert (record["ending"]["result"], record["ending"]["sip_code"]) == ("rejected", 404)
    assert "+14155550123" in str(record["trace"])
