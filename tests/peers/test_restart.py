"""The control process is killed in mid-call: the sound goes on, and the next process takes everything up."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from .conftest import Phones
from .support.baresip import Baresip
from .support.browser import Browser, SoundReceived
from .support.rtp import RtpPhone
from .support.server import DialroomServer, Room, steps
from .support.sipp import Scenario, sdp
from .support.tones import level_of, loudness
from .support.waiting import wait_until
from .support.webhooks import Receiver

PHONE = "+1 ••• 111"
DEAD_SECONDS = 2.0
"""How long nobody is in control before the next process starts."""
BUSY = 0.9
"""The part of what is sent that phones and browsers hear at least, on a machine that is too busy for them."""


@pytest.fixture
def receiver(server: DialroomServer) -> Iterator[Receiver]:
    with Receiver() as receiver:
        webhook = receiver.subscribe(server)
        yield receiver
        server.api("DELETE", f"/webhooks/{webhook['id']}")


def talk(server: DialroomServer, room: Room, phone: Baresip, browser: Browser) -> None:
    """A phone and a browser hear each other, and nothing is told to the phone any more."""
    browser.join(room.url)
    phone.dial(server.sip())
    phone.press(room.code)
    server.participant(room, "phone")
    phone.others = (1000,)
    phone.press("*8")  # cuts short what callers are told on their way in
    phone.hears_prompt("people_before")
    phone.hears(1000, share=0.95)
    browser.hears(440)


def test_sound_goes_on_through_kill_9_and_the_next_process_takes_the_call_up(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser, receiver: Receiver
) -> None:
    phone = phones(user="+15550001111")
    talk(server, room, phone, browser)
    call, me = server.call()["id"], server.participant(room, "web")["id"]

    heard_before, browser_before, began = phone.position(), browser.sound_received(), time.monotonic()
    server.kill()
    browser.hears(440)
    wait_until(lambda: time.monotonic() > began + DEAD_SECONDS, 10, lambda: "time stands still")
    server.start()
    browser.hears(440)
    heard_after, browser_after, seconds = phone.position(), browser.sound_received(), time.monotonic() - began

    assert "1 taken up again" in server.said
    assert_no_gap_on_the_phone(phone, heard_before, heard_after, seconds)
    assert_no_gap_in_the_browser(browser_before, browser_after)

    before = phone.position()
    phone.press("*6")
    phone.hears_prompt("muted", since=before)
    browser.hears_no(440)
    browser.page.get_by_test_id("reconnecting").wait_for(state="detached", timeout=30_000)
    server.until(lambda: server.participant(room, "web"), lambda each: each["connected"], "a connected browser")
    assert server.participant(room, "web")["id"] == me
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


def test_a_phone_gets_each_single_packet_through_kill_9(server: DialroomServer, room: Room, browser: Browser) -> None:
    browser.join(room.url)
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
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    phone = phones(user="+15550001111")
    talk(server, room, phone, browser)
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


def assert_no_gap_on_the_phone(phone: Baresip, start: float, end: float, seconds: float) -> None:
    """As much was heard as time went by, and the tone is in it all along."""
    assert end - start > BUSY * seconds, f"the phone heard {end - start:.2f} s in {seconds:.2f} s"
    samples, rate = phone.heard()
    size = int(rate * 0.04)
    stretch = samples[int(start * rate) : int(end * rate)]
    blocks = stretch[: len(stretch) // size * size].reshape(-1, size)
    levels = np.array([loudness(block) for block in blocks])
    quiet = np.flatnonzero(levels < np.median(levels) - 6)
    assert len(quiet) <= (1 - BUSY) * len(levels), f"nothing at {[float(start + each * 0.04) for each in quiet]} s"
    assert level_of(stretch, rate, 1000) > 0.9


def assert_no_gap_in_the_browser(before: SoundReceived, after: SoundReceived) -> None:
    """No packet is missing, and little had to be made up because packets came late."""
    seconds = (after.at - before.at) / 1000
    assert after.lost == before.lost
    assert after.packets - before.packets >= BUSY * 50 * seconds
    assert after.concealed - before.concealed <= (1 - BUSY) * (after.samples - before.samples)
