"""What callers do with their keys, and what hosts do to callers: seen in the browser, heard on the phone."""

from __future__ import annotations

from .conftest import Phones
from .support.baresip import Baresip
from .support.browser import Browser
from .support.server import DialroomServer, Room, steps

PHONE = "+1 ••• 111"
"""What the others see of +15550001111."""


def test_star_six_mutes_and_unmutes_with_words(
    server: DialroomServer, room: Room, guest: Browser, caller: Baresip
) -> None:
    guest.hears(440)
    with caller.is_told("muted"):
        caller.press("*6")
    guest.hears_no(440)
    assert server.participant(room, "phone")["muted"] is True
    with caller.is_told("unmuted"):
        caller.press("*6")
    guest.hears(440)


def test_star_nine_raises_a_hand_that_the_browser_sees_and_star_eight_counts(guest: Browser, caller: Baresip) -> None:
    raised_hand = guest.tile(PHONE).get_by_title("Hand raised")
    with caller.is_told("hand_raised"):
        caller.press("*9")
    raised_hand.wait_for()
    with caller.is_told("hand_lowered"):
        caller.press("*9")
    raised_hand.wait_for(state="detached")
    with caller.is_told("people_before"):
        caller.press("*8")


def test_star_four_and_star_seven_make_the_room_louder_and_quieter_by_4_db(guest: Browser, caller: Baresip) -> None:
    caller.press("*9")  # cuts short what callers are told on their way in
    caller.hears_prompt("hand_raised")
    as_it_was = caller.steady_loudness_of(1000)
    for keys, prompt, decibels in (("*4", "louder", 4), ("*7*7", "quieter", -4), ("*4", "louder", 0)):
        with caller.is_told(prompt):
            caller.press(keys)
        caller.steady_loudness_of(1000, near=as_it_was + decibels)


def test_star_star_reads_the_menu_out_until_the_next_key(guest: Browser, caller: Baresip) -> None:
    with caller.is_told("menu"):
        caller.press("**")
    with caller.is_told("invalid_key"):
        caller.press("*5")
    caller.hears(1000, share=0.95)


def test_a_host_mutes_a_phone_which_is_told(host: Browser, caller: Baresip) -> None:
    host.hears(440)
    with caller.is_told("muted_by_host"):
        host.person(PHONE).get_by_label(f"Mute {PHONE}").click()
    host.hears_no(440)
    with caller.is_told("unmuted_by_host"):
        host.person(PHONE).get_by_label(f"Let {PHONE} speak").click()
    host.hears(440)


def test_a_host_removes_a_phone_which_is_told_and_hung_up_on(
    server: DialroomServer, host: Browser, caller: Baresip
) -> None:
    host.sees_tile(PHONE)
    with caller.is_told("removed_by_host"):
        host.person(PHONE).get_by_test_id("host-remove").click()
        host.click("confirm-remove")
    host.sees_no_tile(PHONE)
    caller.wait_for("CALL_CLOSED")
    ending = server.ended_call()["ending"]
    assert (ending["result"], ending["reason"], ending["by"]) == ("completed", "removed", "host")


def test_a_host_locks_the_room_and_the_next_caller_is_told(
    server: DialroomServer, room: Room, host: Browser, phones: Phones
) -> None:
    host.click("people-button")
    host.click("lock-button")
    server.until(lambda: server.api("GET", f"/rooms/{room.id}"), lambda room: room["locked"], "a locked room")
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    phone.hears_prompt("room_locked")
    phone.wait_for("CALL_CLOSED")
    assert server.ended_call()["ending"]["reason"] == "room_locked"


def test_a_host_ends_the_session_for_all(server: DialroomServer, room: Room, host: Browser, caller: Baresip) -> None:
    host.click("people-button")
    with caller.is_told("meeting_ended"):
        host.click("end-button")
        host.click("confirm-end")
    over = host.page.get_by_test_id("over")
    over.wait_for()
    assert over.get_attribute("data-reason") == "ended"
    caller.wait_for("CALL_CLOSED")
    record = server.ended_call()
    assert (record["ending"]["reason"], record["ending"]["by"]) == ("session_ended", "host")
    server.empties(room)


def test_a_phone_moved_by_api_hears_the_other_room(
    server: DialroomServer, room: Room, caller: Baresip, browser: Browser
) -> None:
    breakout = server.room("Breakout")
    browser.join(breakout.url)
    person = server.participant(room, "phone")
    moved = server.api("POST", f"/participants/{person['id']}/move", {"room": breakout.id})
    assert moved["room"] == breakout.id
    browser.sees_tile(PHONE)
    browser.hears(440)
    caller.hears(1000)
    assert "moved" in steps(server.step("moved"))
