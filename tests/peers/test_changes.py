"""What may change within a call, and between calls: hold, the codec, the length of packets."""

from __future__ import annotations

import pytest

from .support.baresip import Baresip
from .support.browser import Browser
from .support.rtp import RtpPhone
from .support.server import DialroomServer, Room, steps
from .support.sipp import Scenario, sdp


def test_a_phone_on_hold_is_silent_and_speaks_again_afterwards(
    server: DialroomServer, guest: Browser, caller: Baresip
) -> None:
    guest.hears(440)
    caller.hears(1000)
    caller.hold()
    server.step("media_changed")
    guest.hears_no(440)
    caller.resume()
    server.step("media_changed", times=2)
    guest.hears(440)


def test_the_room_hears_no_hold_music_of_a_phone_which_hears_the_room_again_when_it_is_back(
    server: DialroomServer, room: Room, guest: Browser
) -> None:
    with RtpPhone() as phone:
        scenario = Scenario().invite(sdp(phone.port)).answered().stand()
        scenario.reinvite(sdp(phone.port, version=2, direction="sendonly")).answered().stand()
        scenario.reinvite(sdp(phone.port, version=3)).answered().stand().bye()
        with scenario.running(server.sip_port) as call:
            phone.press(room.code)
            guest.hears(440)
            phone.hears("PCMU", 1000)
            call.go_on()
            guest.hears_no(440)
            before = phone.hears_nothing_more()
            call.go_on()
            phone.waits_for_more(before)
            phone.hears("PCMU", 1000)
            guest.hears(440)
            call.go_on()


def test_the_codec_can_be_changed_by_reinvite_and_both_directions_follow(
    server: DialroomServer, room: Room, guest: Browser
) -> None:
    with RtpPhone() as phone:
        scenario = Scenario().invite(sdp(phone.port)).answered().stand()
        scenario.reinvite(sdp(phone.port, version=2, codec="PCMA")).answered().stand().bye()
        with scenario.running(server.sip_port) as call:
            phone.press(room.code)
            guest.hears(440)
            phone.hears("PCMU", 1000)
            call.go_on()
            phone.hears("PCMA", 1000, share=0.9)
            guest.hears(440, share=0.9)
            call.go_on()
    record = server.ended_call()
    assert record["codec"] == "PCMA"
    assert steps(record).count("media_changed") == 1


@pytest.mark.parametrize("ptime", [10, 30, 40, 60])
def test_packets_of_any_length_are_taken_and_sent(
    server: DialroomServer, room: Room, guest: Browser, ptime: int
) -> None:
    with RtpPhone(ptime=ptime) as phone:
        scenario = Scenario().invite(sdp(phone.port, ptime=ptime)).answered().stand().bye()
        with scenario.running(server.sip_port) as call:
            phone.press(room.code)
            guest.hears(440, share=0.9)
            phone.hears("PCMU", 1000)
            call.go_on()
    assert {len(each.payload) for each in phone.packets} == {8 * ptime}
    assert phone.strides() == {(1, 8 * ptime)}
