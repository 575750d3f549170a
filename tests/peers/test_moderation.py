"""What callers do with their keys, and what hosts do to callers: seen in the browser, heard on the phone."""

from __future__ import annotations

from .conftest import Phones
from .support.baresip import Baresip
from .support.browser import Browser
from .support.server import DialroomServer, Room, steps

PHONE = "+1 ••• 111"
"""What the others see of +15550001111."""


def dial_in(server: DialroomServer, room: Room, phone: Baresip) -> None:
    """A phone comes into a room in which a browser speaks."""
    phone.dial(server.sip())
    phone.press(room.code)
    server.participant(room, "phone")
    phone.others = (1000,)


def test_star_six_mutes_and_unmutes_with_words(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    browser.join(room.url)
    phone = phones()
    dial_in(server, room, phone)
    browser.hears(440)
    before = phone.position()
    phone.press("*6")
    phone.hears_prompt("muted", since=before)
    browser.hears_no(440)
    assert server.participant(room, "phone")["muted"] is True
    before = phone.position()
    phone.press("*6")
    phone.hears_prompt("unmuted", since=before)
    browser.hears(440)


def test_star_nine_raises_a_hand_that_the_browser_sees_and_star_eight_counts(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    browser.join(room.url)
    phone = phones()
    dial_in(server, room, phone)
    before = phone.position()
    phone.press("*9")
    phone.hears_prompt("hand_raised", since=before)
    browser.tile(PHONE).get_by_title("Hand raised").wait_for()
    before = phone.position()
    phone.press("*9")
    phone.hears_prompt("hand_lowered", since=before)
    browser.tile(PHONE).get_by_title("Hand raised").wait_for(state="detached")
    before = phone.position()
    phone.press("*8")
    phone.hears_prompt("people_before", since=before)


def test_star_four_and_star_seven_make_the_room_louder_and_quieter_by_4_db(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    browser.join(room.url)
    phone = phones()
    dial_in(server, room, phone)
    phone.press("*9")  # cuts short what callers are told on their way in
    phone.hears_prompt("hand_raised")
    as_it_was = phone.steady_loudness_of(1000)
    for keys, prompt, decibels in (("*4", "louder", 4), ("*7*7", "quieter", -4), ("*4", "louder", 0)):
        before = phone.position()
        phone.press(keys)
        phone.hears_prompt(prompt, since=before)
        phone.steady_loudness_of(1000, near=as_it_was + decibels)


def test_star_star_reads_the_menu_out_until_the_next_key(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    browser.join(room.url)
    phone = phones()
    dial_in(server, room, phone)
    before = phone.position()
    phone.press("**")
    phone.hears_prompt("menu", since=before)
    before = phone.position()
    phone.press("*5")
    phone.hears_prompt("invalid_key", since=before)
    phone.hears(1000, share=0.95)


def test_a_host_mutes_a_phone_which_is_told(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    browser.join(room.host_url)
    phone = phones()
    dial_in(server, room, phone)
    browser.hears(440)
    before = phone.position()
    browser.person(PHONE).get_by_test_id("host-mute").click()
    phone.hears_prompt("muted_by_host", since=before)
    browser.hears_no(440)
    before = phone.position()
    browser.person(PHONE).get_by_test_id("host-mute").click()
    phone.hears_prompt("unmuted_by_host", since=before)
    browser.hears(440)


def test_a_host_removes_a_phone_which_is_told_and_hung_up_on(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    browser.join(room.host_url)
    phone = phones()
    dial_in(server, room, phone)
    browser.sees_tile(PHONE)
    before = phone.position()
    browser.person(PHONE).get_by_test_id("host-remove").click()
    browser.click("confirm-remove")
    browser.sees_no_tile(PHONE)
    phone.hears_prompt("removed_by_host", since=before)
    phone.wait_for("CALL_CLOSED")
    ending = server.ended_call()["ending"]
    assert (ending["result"], ending["reason"], ending["by"]) == ("completed", "removed", "host")


def test_a_host_locks_the_room_and_the_next_caller_is_told(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    browser.join(room.host_url)
    browser.click("people-button")
    browser.click("lock-button")
    server.until(lambda: server.api("GET", f"/rooms/{room.id}"), lambda room: room["locked"], "a locked room")
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    phone.hears_prompt("room_locked")
    phone.wait_for("CALL_CLOSED")
    assert server.ended_call()["ending"]["reason"] == "room_locked"


def test_a_host_ends_the_session_for_all(server: DialroomServer, room: Room, phones: Phones, browser: Browser) -> None:
    browser.join(room.host_url)
    phone = phones()
    dial_in(server, room, phone)
    browser.click("people-button")
    before = phone.position()
    browser.click("end-button")
    browser.click("confirm-end")
    browser.page.get_by_test_id("over").wait_for()
    assert browser.page.get_by_test_id("over").get_attribute("data-reason") == "ended"
    phone.hears_prompt("meeting_ended", since=before)
    phone.wait_for("CALL_CLOSED")
    record = server.ended_call()
    assert (record["ending"]["reason"], record["ending"]["by"]) == ("session_ended", "host")
    server.empties(room)


def test_a_phone_moved_by_api_hears_the_other_room(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    breakout = server.room("Breakout")
    browser.join(breakout.url)
    phone = phones()
    dial_in(server, room, phone)
    person = server.participant(room, "phone")
    moved = server.api("POST", f"/participants/{person['id']}/move", {"room": breakout.id})
    assert moved["room"] == breakout.id
    browser.sees_tile(PHONE)
    browser.hears(440)
    phone.hears(1000)
    assert "moved" in steps(server.step("moved"))
