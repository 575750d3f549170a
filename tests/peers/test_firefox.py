"""The room page in Firefox: sound and pictures both ways with Chromium and with a phone, and a lost connection."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator

import pytest

from .conftest import Browsers, Phones
from .support import firefox
from .support.firefox import Firefox
from .support.server import DialroomServer, Room


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DialroomServer]:
    """A server whose media is on an address of this machine: Firefox has no candidates on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            _not_tested("this machine has no address besides loopback")
        address = probe.getsockname()[0]
    with DialroomServer(tmp_path_factory.mktemp("server"), webrtc_addresses=address) as server:
        yield server


@pytest.fixture(scope="module")
def fox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """Firefox, which serves all tests of the file."""
    if not any(map(shutil.which, firefox.PROGRAMS)):
        _not_tested("install the Debian package firefox-esr")
    with Firefox(tmp_path_factory.mktemp("firefox") / "files") as fox:
        yield fox


def _not_tested(why: str) -> None:
    message = f"NOT TESTED with Firefox: {why}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def test_firefox_and_chromium_see_and_hear_each_other(room: Room, fox: Firefox, browsers: Browsers) -> None:
    ada = browsers(700)
    fox.join(room.url, "Fox")
    ada.join(room.url, "Ada")
    fox.hears(700)
    ada.hears(firefox.TONE)
    fox.sees_moving("tile", "Ada")
    ada.sees_video_of("Fox")
    ada.click("screen-button")
    fox.sees_moving("screen-tile", "Ada")
    ada.go_away()
    fox.go_away()


def test_firefox_and_a_phone_hear_each_other_also_after_a_lost_socket(
    server: DialroomServer, room: Room, fox: Firefox, phones: Phones
) -> None:
    fox.join(room.url, "Fox")
    phone = phones(tone=440)
    phone.dial(server.sip())
    phone.press(room.code)
    fox.hears(440)
    phone.hears(firefox.TONE)
    fox.lose_socket()
    fox.hears(440)
    phone.hang_up()
    fox.until("window.dialroom.participants.length === 1", 30)
    fox.go_away()
