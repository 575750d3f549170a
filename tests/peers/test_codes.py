"""The way into a room with nothing but keys: what callers type, how they type it, and what they are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .conftest import Phones
from .support.baresip import Baresip
from .support.server import DialroomServer, Room, steps
from .support.sipp import Scenario, sdp


def ends_with(server: DialroomServer, phone: Baresip, prompt: str, reason: str) -> None:
    """The caller is told why, hears goodbye, and is hung up on."""
    phone.hears_prompt(prompt)
    phone.wait_for("CALL_CLOSED", seconds=30)
    phone.hears_prompt("goodbye")
    ending = server.ended_call()["ending"]
    assert (ending["reason"], ending["by"]) == (reason, "server")


def test_the_right_code_typed_with_pound_leads_in(server: DialroomServer, room: Room, phones: Phones) -> None:
    phone = phones()
    phone.dial(server.sip())
    phone.hears_prompt("welcome_enter_code")
    phone.press(room.code + "#")
    assert server.participant(room, "phone")["phone_number"] == "+15550001111"
    phone.hears_prompt("you_are_the_first")


def test_a_code_typed_while_the_welcome_still_plays_and_without_pound_leads_in(
    server: DialroomServer, room: Room, phones: Phones
) -> None:
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    server.participant(room, "phone")
    assert steps(server.call()).count("code_accepted") == 1
    phone.hears_prompt("you_are_the_first")


def test_a_wrong_code_is_said_so_and_the_right_one_still_leads_in(
    server: DialroomServer, room: Room, phones: Phones
) -> None:
    phone = phones()
    phone.dial(server.sip())
    phone.press("000000000#")
    phone.hears_prompt("wrong_code")
    phone.press(room.code)
    server.participant(room, "phone")


def test_after_three_wrong_codes_it_says_goodbye(server: DialroomServer, phones: Phones) -> None:
    phone = phones(user="+15550009999")
    phone.dial(server.sip())
    for tries in range(1, 4):
        phone.press("111111111#")
        server.step("code_wrong", times=tries)
    ends_with(server, phone, "try_again_later", "wrong_code")


def test_a_code_sent_by_sip_info_leads_in(server: DialroomServer, room: Room) -> None:
    scenario = Scenario().invite(sdp()).answered().pause(300)
    for digit in room.code:
        scenario.info(digit).pause(50)
    with scenario.expect_request("BYE").ok().running(server.sip_port):
        person = server.participant(room, "phone")
        server.api("DELETE", f"/participants/{person['id']}")
    assert "code_accepted" in steps(server.ended_call())


def test_a_room_with_a_pin_asks_for_it_and_lets_in_who_knows_it(server: DialroomServer, phones: Phones) -> None:
    room = server.room("With a PIN", pin="7741")
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    phone.hears_prompt("enter_pin")
    phone.press("1234#")
    phone.hears_prompt("wrong_code")
    assert server.present(room) == []
    phone.press("7741#")
    server.participant(room, "phone")


def test_a_caller_waits_with_music_until_the_room_opens(server: DialroomServer, phones: Phones) -> None:
    room = server.room("Not yet", opens_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    phone.hears_prompt("not_open_yet")
    phone.hears_prompt("hold_music")
    assert server.present(room) == []
    server.api("PATCH", f"/rooms/{room.id}", {"opens_at": None})
    server.participant(room, "phone")


def test_a_locked_room_is_said_so(server: DialroomServer, phones: Phones) -> None:
    room = server.room("Locked", locked=True)
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    ends_with(server, phone, "room_locked", "room_locked")


def test_a_full_room_is_said_so(server: DialroomServer, phones: Phones) -> None:
    room = server.room("Small", max_participants=1)
    first, second = phones(), phones(user="+15550002222")
    first.dial(server.sip())
    first.press(room.code)
    server.participant(room, "phone")
    second.dial(server.sip())
    second.press(room.code)
    ends_with(server, second, "room_full", "room_full")
    assert len(server.present(room)) == 1


def test_a_room_that_has_expired_is_said_so(server: DialroomServer, phones: Phones) -> None:
    room = server.room("Over")
    server.api("PATCH", f"/rooms/{room.id}", {"expires_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat()})
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    ends_with(server, phone, "meeting_ended", "room_ended")
