"""Firefox as a participant, driven over its own protocol (Marionette): it joins from the room page, with a fake camera,
and a fake microphone that is a tone."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

from .ports import free_port
from .waiting import wait_until

PROGRAMS = ("firefox-esr", "firefox")
TONE = 1000
"""What its microphone gives, in Hz."""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The name WebDriver has for a reference to an element (W3C WebDriver §11)."""


LISTEN = """
  const connections = [];
  window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
    construct(target, parameters) {
      const connection = new target(...parameters);
      connections.push(connection);
      return connection;
    },
  });
  const Socket = window.WebSocket;
  window.sockets = [];
  window.WebSocket = new Proxy(Socket, {
    construct(target, parameters) {
      const socket = new target(...parameters);
      window.sockets.push(socket);
      return socket;
    },
  });
  // Web Audio stands still where there is no sound device; a recorder does not.
  const record = async (track) => {
    const recorder = new MediaRecorder(new MediaStream([track]));
    const recorded = new Promise((resolve) => (recorder.ondataavailable = ({ data }) => resolve(data)));
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, 800));
    recorder.stop();
    const decoder = new OfflineAudioContext(1, 48000, 48000);
    return (await decoder.decodeAudioData(await (await recorded).arrayBuffer())).getChannelData(0);
  };
  const received = () => {
    const live = connections.filter((connection) => connection.connectionState === "connected");
    const tracks = live.flatMap((connection) => connection.getReceivers()).map((receiver) => receiver.track);
    return tracks.filter((track) => track.kind === "audio" && !track.muted);
  };
  window.shareOfTone = async (tone) => {
    let [all, near] = [1e-9, 0];
    for (const samples of await Promise.all(received().map(record))) {
      let [sine, cosine] = [0, 0];
      samples.forEach((sample, at) => {
        all += sample * sample;
        sine += sample * Math.sin((2 * Math.PI * tone * at) / 48000);
        cosine += sample * Math.cos((2 * Math.PI * tone * at) / 48000);
      });
      near += (2 * (sine * sine + cosine * cosine)) / samples.length;
    }
    return near / all;
  };
"""


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
        program = next(filter(None, map(shutil.which, PROGRAMS)))
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile), "about:blank"],
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._connected, 60, lambda: f"Firefox did not start:\n{(self._folder / 'log').read_text()}")
            self._read()
            self._do("WebDriver:NewSession", capabilities={})
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
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

    def go_away(self) -> None:
        """Leaves the page, and with it the room."""
        self._do("WebDriver:Navigate", url="about:blank")

    def lose_socket(self) -> None:
        """The room's WebSocket breaks; returns when the page is connected by another one."""
        sockets = self.value("window.sockets.length")
        self.run("window.sockets.forEach((socket) => socket.close(3000))")
        self.until(f"window.sockets.length > {sockets} && window.dialroom.state === 'connected'", 30)

    # --- what is asserted --------------------------------------------------------------------------------------------

    def hears(self, tone: float, *, share: float = 0.5) -> None:
        """Waits until what it plays is mostly ``tone`` Hz."""
        wait_until(
            lambda: self.wait_for(f"window.shareOfTone({tone})") >= share, 30, lambda: f"Firefox never heard {tone} Hz"
        )

    def sees_moving(self, test_id: str, participant: str) -> None:
        """Waits until the picture in this participant's tile, or that of their screen, moves."""
        video = f"document.querySelector('[data-testid={test_id}][aria-label^={participant}] video')"
        self.until(f"{video}?.mozPaintedFrames > 10 && {video}.videoWidth > 0", 30)

    def until(self, expression: str, seconds: float) -> None:
        """Waits until this is true in the page."""
        wait_until(
            lambda: bool(self.value(expression)), seconds, lambda: f"in Firefox it never was true that {expression}"
        )

    def value(self, expression: str) -> Any:
        """What the page answers."""
        return self.run(f"return ({expression});")

    def wait_for(self, promise: str) -> Any:
        """What this promise gives."""
        script = f"const done = arguments[0]; ({promise}).then(done, (error) => done(String(error)));"
        value = self._do("WebDriver:ExecuteAsyncScript", script=script, args=[], sandbox=None)["value"]
        assert not isinstance(value, str), f"in Firefox {promise} failed: {value}"
        return value

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

        wait_until(there, 30, lambda: f"Firefox shows no {selector}")
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
