"""What is said at one end is heard at the other, with each codec, and nobody hears themselves."""

from __future__ import annotations

import pytest

from .conftest import Browsers, Phones
from .support.browser import Browser
from .support.server import DialroomServer, Room


@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722", "opus"])
def test_phone_and_browser_hear_each_other(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser, codec: str
) -> None:
    browser.join(room.url)
    phone = phones(tone=440, codec=codec)
    phone.dial(server.sip())
    phone.press(room.code)
    server.participant(room, "phone")
    browser.hears(440)
    phone.hears(1000)
    phone.hears_no(440)
    browser.hears_no(1000)
    assert server.call()["codec"].lower() == codec.lower()


def test_two_phones_and_a_browser_hear_the_others_and_not_themselves(
    server: DialroomServer, room: Room, phones: Phones, browser: Browser
) -> None:
    browser.join(room.url)
    low = phones(user="+15550001111", tone=440, codec="PCMU")
    high = phones(user="+15550002222", tone=700, codec="opus")
    for phone in (low, high):
        phone.dial(server.sip())
        phone.press(room.code)
    server.participant(room, "phone", count=2)
    low.hears(700, share=0.2)
    low.hears(1000, share=0.2)
    high.hears(440, share=0.2)
    high.hears(1000, share=0.2)
    browser.hears(440, share=0.2)
    browser.hears(700, share=0.2)
    low.hears_no(440)
    high.hears_no(700)
    browser.hears_no(1000)


def test_two_browsers_hear_each_other(room: Room, browsers: Browsers) -> None:
    ada, bob = browsers(1000), browsers(1300)
    ada.join(room.url, "Ada")
    bob.join(room.url, "Bob")
    ada.hears(1300)
    bob.hears(1000)
    ada.hears_no(1000)
    bob.go_away()
    ada.sees_no_tile("Bob")
    ada.hears_no(1300)
    ada.go_away()
