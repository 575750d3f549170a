"""The room page in a real browser: tiles, pictures, screens, speakers, the way in by phone, a lost connection."""

from __future__ import annotations

from pathlib import Path

from .conftest import Browsers, Phones
from .support.baresip import Baresip
from .support.browser import Browser
from .support.server import DialroomServer, Room

PHONE = "+1 ••• 111"


def test_a_phone_has_a_tile_with_its_masked_number_and_speaks_in_it(guest: Browser, caller: Baresip) -> None:
    guest.sees_tile(PHONE)
    assert guest.tile(PHONE).get_attribute("data-kind") == "phone"
    assert "5550001111" not in guest.page.content()
    guest.sees_speaking(PHONE)
    caller.press("*6")
    guest.sees_silent(PHONE)


def test_a_caller_whose_phone_tells_a_name_is_shown_by_it(
    server: DialroomServer, room: Room, guest: Browser, phones: Phones
) -> None:
    phone = phones(name='"Grace Hopper"')
    phone.dial(server.sip())
    phone.press(room.code)
    guest.sees_tile("Grace Hopper")
    assert guest.tile("Grace Hopper").get_attribute("data-kind") == "phone"


def test_browsers_see_and_hear_each_other(room: Room, browsers: Browsers) -> None:
    ada, bob = browsers(1000), browsers(1300)
    ada.join(room.url, "Ada")
    bob.join(room.url, "Bob")
    ada.sees_video_of("Bob")
    bob.sees_video_of("Ada")
    ada.hears(1300)
    bob.hears(1000)
    ada.hears_no(1000)
    ada.sees_speaking("Bob")
    bob.click("camera-button")
    ada.tile("Bob").locator("video").wait_for(state="detached")
    bob.go_away()
    ada.sees_no_tile("Bob")
    ada.hears_no(1300)
    ada.go_away()


def test_a_shared_screen_is_a_picture_of_its_own(room: Room, browsers: Browsers) -> None:
    ada, bob = browsers(1000), browsers(1300)
    ada.join(room.url, "Ada")
    bob.join(room.url, "Bob")
    bob.click("screen-button")
    screen = ada.page.get_by_test_id("screen-tile")
    screen.wait_for()
    ada.sees_moving(screen.locator("video"))
    ada.sees_video_of("Bob")
    bob.click("screen-button")
    screen.wait_for(state="detached")
    bob.go_away()
    ada.go_away()


def test_a_browser_that_loses_the_network_comes_back_without_leaving(
    server: DialroomServer, room: Room, guest: Browser, caller: Baresip
) -> None:
    guest.hears(440)
    before = server.participant(room, "web")
    guest.cut_socket()
    guest.page.get_by_test_id("reconnecting").wait_for()
    guest.restore_socket()
    guest.page.get_by_test_id("reconnecting").wait_for(state="detached", timeout=30_000)
    after = server.until(lambda: server.participant(room, "web"), lambda each: each["connected"], "a connected browser")
    assert after["id"] == before["id"]
    guest.hears(440)
    caller.hears(1000)
    guest.sees_tile(PHONE)


def test_the_way_in_by_phone_is_shown_with_number_code_link_and_qr_code(
    room: Room, guest: Browser, tmp_path: Path
) -> None:
    guest.click("phone-panel-button")
    panel = guest.page.get_by_test_id("phone-panel")
    panel.wait_for()
    assert panel.get_by_test_id("dial-in-code").get_attribute("data-code") == room.code
    number = panel.get_by_test_id("dial-in-number").first
    assert number.get_attribute("data-number") == "1000"
    link = panel.get_by_test_id("dial-in-call").get_attribute("href")
    assert link == f"tel:1000,,{room.code}"
    code = panel.get_by_role("img", name="QR code").first
    box = code.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) > 80
    guest.page.screenshot(path=tmp_path / "join-by-phone.png")
    assert (tmp_path / "join-by-phone.png").stat().st_size > 10_000


def test_the_room_works_on_the_screen_of_a_phone(room: Room, browsers: Browsers, tmp_path: Path) -> None:
    ada = browsers(1000, width=390, height=844)
    ada.join(room.url, "Ada")
    for button in ("mute-button", "camera-button", "leave-button"):
        box = ada.page.get_by_test_id(button).bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= 390 - box["width"]
        assert box["height"] >= 40
    assert ada.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ada.page.screenshot(path=tmp_path / "room-on-a-phone.png")
    ada.leave()
    ada.page.get_by_test_id("over").wait_for()
    assert ada.page.get_by_test_id("over").get_attribute("data-reason") == "left"


def test_the_way_in_is_seen_at_once_on_the_screen_of_a_small_phone(room: Room, browsers: Browsers) -> None:
    ada = browsers(1000, width=360, height=640)
    ada.page.goto(room.url)
    box = ada.page.get_by_test_id("join-button").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 640
    shown, toggle = (ada.page.locator(each).bounding_box() for each in (".mirror", ".mirror .toggles"))
    assert shown is not None
    assert toggle is not None
    assert shown["y"] <= toggle["y"]


def test_a_room_that_does_not_exist_is_said_so(server: DialroomServer, browser: Browser) -> None:
    browser.page.goto(f"{server.base_url}/r/no-such-room")
    unavailable = browser.page.get_by_test_id("unavailable")
    unavailable.wait_for()
    assert unavailable.get_attribute("data-reason") == "not_found"
