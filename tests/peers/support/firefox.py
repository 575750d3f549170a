"""Firefox as a participant, driven over its own protocol (Marionette): it joins from the room page, with a fake camera,
and a fake microphone that is a tone."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from .browser import LISTEN
from .ports import free_port
from .waiting import wait_until

TONE = 1000
"""What its microphone gives, in Hz."""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The name WebDriver has for a reference to an element (W3C WebDriver §11)."""


class Firefox:
    """Headless, with a profile of its own in ``folder``; use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._port = free_port(socket.SOCK_STREAM)
        self._buffer = b""
        self._commands = 0

    def __enter__(self) -> Self:
        profile = self._folder / "profile"
        profile.mkdir()
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in self._settings().items()]
        (profile / "user.js").write_text("\n".join(lines))
        program = shutil.which("firefox-esr") or "firefox"
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile), "about:blank"],
                stdout=log,
                stderr=log,
            )
        wait_until(self._connected, 30, lambda: f"Firefox did not start:\n{(self._folder / 'log').read_text()}")
        self._read()
        self._do("WebDriver:NewSession", capabilities={})
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._do("Marionette:Quit", flags=["eForceQuit"])
        self._socket.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _settings(self) -> dict[str, str | int | bool]:
        return {
            "marionette.port": self._port,
            "media.navigator.streams.fake": True,
            "media.navigator.permission.disabled": True,
            "media.getusermedia.audio.fake_frequency": TONE,
            "media.autoplay.default": 0,
            "media.peerconnection.ice.loopback": True,
            "security.csp.enable": False,
            "browser.shell.checkDefaultBrowser": False,
            "datareporting.policy.dataSubmissionEnabled": False,
            "app.update.disabledForTesting": True,
            "network.captive-portal-service.enabled": False,
            "network.connectivity-service.enabled": False,
            "services.settings.server": "data:,",
        }

    # --- what a person does ------------------------------------------------------------------------------------------

    def join(self, url: str, name: str) -> None:
        """Opens the room page, types a name, joins, and returns when sound can flow."""
        self._do("WebDriver:Navigate", url=url)
        field = self._find('[data-testid="name-input"]')
        self.run(LISTEN)
        self._do("WebDriver:ElementSendKeys", id=field, text=name)
        self.click("join-button")
        self.until("window.dialroom?.media === 'connected'", 20)

    def click(self, test_id: str) -> None:
        """Presses a button."""
        self._do("WebDriver:ElementClick", id=self._find(f'[data-testid="{test_id}"]'))

    # --- what is asserted --------------------------------------------------------------------------------------------

    def hears(self, tone: float, *, share: float = 0.5) -> None:
        """Waits until what it plays is mostly ``tone`` Hz."""
        self.until(f"window.shareOfTone({tone}) >= {share}", 15)

    def sees_moving(self, selector: str) -> None:
        """Waits until the picture in this video element moves."""
        video = f"document.querySelector({json.dumps(selector)})"
        self.until(f"{video}?.getVideoPlaybackQuality().totalVideoFrames > 10 && {video}.videoWidth > 0", 20)

    def until(self, expression: str, seconds: float) -> None:
        """Waits until this is true in the page."""
        wait_until(
            lambda: bool(self.value(expression)), seconds, lambda: f"in Firefox it never was true that {expression}"
        )

    def value(self, expression: str) -> Any:
        """What the page answers."""
        return self.run(f"return ({expression});")

    def run(self, script: str) -> Any:
        """Runs a script in the page; what it returns."""
        return self._do("WebDriver:ExecuteScript", script=script, args=[], sandbox=None)["value"]

    # --- Marionette --------------------------------------------------------------------------------------------------

    def _find(self, selector: str) -> str:
        found: list[str] = []

        def there() -> bool:
            elements = self._do("WebDriver:FindElements", using="css selector", value=selector)
            found[:] = [element[ELEMENT] for element in elements]
            return bool(found)

        wait_until(there, 15, lambda: f"Firefox shows no {selector}")
        return found[0]

    def _connected(self) -> bool:
        assert self._process.poll() is None, f"Firefox ended:\n{(self._folder / 'log').read_text()}"
        try:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        except ConnectionRefusedError:
            return False
        return True

    def _do(self, command: str, **parameters: Any) -> Any:
        self._commands += 1
        message = json.dumps([0, self._commands, command, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        _, number, error, result = self._read()
        assert number == self._commands
        assert error is None, f"{command}: {error}"
        return result

    def _read(self) -> Any:
        while b":" not in self._buffer:
            self._receive()
        length, _, self._buffer = self._buffer.partition(b":")
        while len(self._buffer) < int(length):
            self._receive()
        message, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return json.loads(message)

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError("Firefox closed its connection")
        self._buffer += data


Firefoxes = Callable[[], Firefox]
