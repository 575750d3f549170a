"""The control process is killed in mid-call: the sound goes on, and the next process takes everything up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import Phones
from .support.baresip import Baresip
from .support.browser import Browser
from .support.rtp import RtpPhone
from .support.server import DialroomServer, Room, steps
from .support.sipp import Scenario, sdp
from .support.webhooks import Receiver

PHONE = "+1 ••• 111"
DEAD_SECONDS = 2.0
"""How much sound comes while nobody is in control, before the next process starts."""


@pytest.fixture
def receiver(server: DialroomServer) -> Iterator[Receiver]:
    with Receiver() as receiver:
        webhook = receiver.subscribe(server)
        yield receiver
        server.api("DELETE", f"/webhooks/{webhook['id']}")


@pytest.fixture
def talking(guest: Browser, caller: Baresip) -> tuple[Browser, Baresip]:
    """A browser and a phone that hear each other, and nothing is told to the phone any more."""
    caller.press("*8")  # cuts short what callers are told on their way in
    caller.hears_prompt("people_before")
    caller.hears(1000, share=0.95)
    guest.hears(440)
    return guest, caller


def test_sound_goes_on_through_kill_9_and_the_next_process_takes_the_call_up(
    server: DialroomServer, room: Room, receiver: Receiver, talking: tuple[Browser, Baresip]
) -> None:
    browser, phone = talking
    call, me = server.call()["id"], server.participant(room, "web")["id"]

    lost = browser.sound_received().lost
    server.kill()
    phone.hears_more(DEAD_SECONDS)
    browser.receives_more(DEAD_SECONDS)
    phone.hears(1000, share=0.95)
    browser.hears(440)
    server.start()
    assert "1 taken up again" in server.said
    phone.hears_more(1)
    browser.receives_more(1)
    phone.hears(1000, share=0.95)
    browser.hears(440)
    assert browser.sound_received().lost == lost

    with phone.is_told("muted"):
        phone.press("*6")
    browser.hears_no(440)
    browser.page.get_by_test_id("reconnecting").wait_for(state="detached", timeout=30_000)
    server.until(lambda: server.participant(room, "web"), lambda each: each["connected"], "a connected browser")
    assert server.participant(room, "web")["id"] == me
    assert "Exception in ASGI" not in server.log(1000)  # a resume that fails is tried again, with a gap in the sound
    browser.sees_silent(PHONE)
    phone.press("*6")
    browser.hears(440)

    phone.hang_up()
    browser.sees_no_tile(PHONE)
    record = server.ended_call(call)
    assert record["ending"]["reason"] == "caller_hung_up"
    assert "taken_up_again" in steps(record)
    receiver.wait_for("call.ended", lambda event: event.data["call"]["id"] == call)
    told = [each.type for each in receiver.received if each.type.startswith("call.")]
    assert told == ["call.received", "call.answered", "call.joined", "call.ended"]
    assert len({each.id for each in receiver.received}) == len(receiver.received)


def test_a_phone_gets_each_single_packet_through_kill_9(server: DialroomServer, room: Room, guest: Browser) -> None:
    with RtpPhone() as phone:
        scenario = Scenario().invite(sdp(phone.port)).answered().stand().bye()
        with scenario.running(server.sip_port) as call:
            phone.press(room.code)
            phone.hears("PCMU", 1000, share=0.95)
            server.kill()
            phone.waits_for_more(len(phone.packets), seconds=DEAD_SECONDS)
            server.start()
            phone.waits_for_more(len(phone.packets))
            call.go_on()
    assert phone.strides() == {(1, 160)}


def test_a_caller_who_hangs_up_while_nobody_is_in_control_is_gone_afterwards(
    server: DialroomServer, talking: tuple[Browser, Baresip]
) -> None:
    browser, phone = talking
    call = server.call()["id"]
    server.kill()
    phone.hang_up()
    server.start()
    record = server.ended_call(call)
    assert record["ending"]["by"] == "caller"
    browser.sees_no_tile(PHONE)
    browser.hears_no(440)


def test_a_caller_asked_for_the_code_during_the_kill_still_gets_in(
    server: DialroomServer, room: Room, phones: Phones
) -> None:
    phone = phones()
    phone.dial(server.sip())
    server.step("code_asked")
    server.kill()
    server.start()
    phone.press(room.code)
    server.participant(room, "phone")
