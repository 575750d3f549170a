"""The room page's views as axe-core sees them: contrast, names, roles, what the keyboard reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Browsers, Phones
from .support.browser import Browser
from .support.server import DialroomServer, Room

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
ARRIVED = """
  Promise.allSettled(
    document.getAnimations()
      .filter((animation) => animation.effect.getComputedTiming().iterations === 1)
      .map((animation) => animation.finished),
  ).then(() => null)
"""
PHONE = "+1 ••• 111"


def assert_accessible(browser: Browser) -> None:
    """Fails with the violations, each with the elements it is about."""
    if not browser.page.evaluate("window.axe !== undefined"):
        browser.page.evaluate(AXE.read_text())
    # What is on its way in is see-through for a moment, and has too little contrast then.
    browser.page.evaluate(ARRIVED)
    found = browser.page.evaluate("axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations)")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_every_view_of_the_page_is_accessible(
    server: DialroomServer, room: Room, browsers: Browsers, phones: Phones, width: int, height: int
) -> None:
    browser = browsers(width=width, height=height)
    browser.open(room.host_url, "Ada")
    assert_accessible(browser)
    browser.click("phone-panel-button")
    assert_accessible(browser)
    browser.join(room.host_url, "Ada")
    assert browser.page.evaluate("document.activeElement.textContent") == room.name
    assert_accessible(browser)
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    browser.sees_tile(PHONE)
    phone.press("*9")
    browser.person(PHONE).get_by_test_id("host-lower-hand").wait_for()
    assert browser.person(PHONE).inner_text().count(PHONE) == 1
    assert_accessible(browser)
    for panel in ("phone-panel-button", "settings-button"):
        browser.click(panel)
        assert_accessible(browser)
    browser.person(PHONE).get_by_test_id("host-remove").click()
    assert_accessible(browser)
    browser.click("confirm-remove")
    browser.sees_no_tile(PHONE)
    browser.page.keyboard.press("Escape")
    browser.leave()
    browser.page.get_by_test_id("over").wait_for()
    assert_accessible(browser)
