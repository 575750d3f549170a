"""Real phones and a real browser. Where a program is missing the tests are skipped, by name; in CI they fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright, sync_playwright

from .support.baresip import Baresip
from .support.browser import Browser
from .support.server import DialroomServer, Room

PROGRAMS = {
    "baresip": "baresip-core",
    "sipp": "sip-tester",
    "chromium": "chromium",
    "turnserver": "coturn",
    "kamailio": "kamailio",
}
"""What the tests need, and the Debian package it comes from."""

Phones = Callable[..., Baresip]
Browsers = Callable[..., Browser]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks everything here, with a longer limit than tests without real peers have."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.peers)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(300))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the server told, beside what a test found wrong."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, DialroomServer):
        report.sections.append(("log of the server", server.log()))
    return report


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Skips loudly, or fails in CI, if a program is not installed."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = sorted(package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None)
    if not missing:
        return
    message = f"NOT TESTED with real phones and a browser: install the Debian packages {', '.join(missing)}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DialroomServer]:
    """A server for the tests of a file."""
    with DialroomServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def room(server: DialroomServer) -> Room:
    """A room of its own for each test."""
    return server.room()


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[Phones]:
    """Makes phones, which hang up and go at the end of the test."""
    made: list[Baresip] = []

    def make(**values: Any) -> Baresip:
        phone = Baresip(tmp_path / f"phone-{len(made)}", **values)
        phone.__enter__()
        made.append(phone)
        return phone

    yield make
    for phone in reversed(made):
        phone.__exit__()


@pytest.fixture
def caller(server: DialroomServer, room: Room, phones: Phones) -> Baresip:
    """A phone that came into the room by its code. Who else speaks there is the browser, if anybody."""
    phone = phones()
    phone.dial(server.sip())
    phone.press(room.code)
    server.participant(room, "phone")
    phone.others = (1000,)
    return phone


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """One for a file: it would keep an event loop running in the way of other tests if it stayed."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browsers(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsers]:
    """Starts browsers, one per tone, which serve all tests of a file."""
    started: dict[tuple[int, int], Browser] = {}

    def start(tone: int = 1000, *, width: int = 1280, height: int = 800) -> Browser:
        key = (tone, width)
        if key not in started:
            folder = tmp_path_factory.mktemp("browser") / "files"
            browser = Browser(playwright, folder, tone=tone, width=width, height=height)
            browser.__enter__()
            started[key] = browser
        return started[key]

    yield start
    for browser in reversed(started.values()):
        browser.__exit__()


@pytest.fixture
def browser(browsers: Browsers) -> Iterator[Browser]:
    """The browser that speaks 1000 Hz; out of the room before and after the test."""
    browser = browsers()
    yield browser
    browser.go_away()


@pytest.fixture
def guest(room: Room, browser: Browser) -> Browser:
    """The browser, in the room as a guest."""
    browser.join(room.url)
    return browser


@pytest.fixture
def host(room: Room, browser: Browser) -> Browser:
    """The browser, in the room as a host."""
    browser.join(room.host_url)
    return browser
