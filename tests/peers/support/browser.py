"""Chromium as a participant: it joins from the room page, speaks a tone, and its sound is measured in the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from playwright.sync_api import Locator, Page, Playwright

from .tones import write_tone
from .waiting import wait_until

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--auto-accept-this-tab-capture",
    "--auto-select-desktop-capture-source=Entire screen",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]

LISTEN = """
(() => {
  // Noise suppression takes steady tones for noise, and gain control changes what is to be measured.
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = function (constraints) {
    const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const audio = constraints.audio && { ...(constraints.audio === true ? {} : constraints.audio), ...raw };
    return open.call(this, { ...constraints, audio });
  };
  const Socket = window.WebSocket;
  window.sockets = { open: new Set(), blocked: false };
  window.WebSocket = new Proxy(Socket, {
    construct(target, [url, ...more]) {
      // Port 9 discards: what goes there is as lost as on a network that is down.
      const socket = new target(window.sockets.blocked ? "ws://127.0.0.1:9/" : url, ...more);
      window.sockets.open.add(socket);
      return socket;
    },
  });
  const Original = window.RTCPeerConnection;
  const ears = { connections: [], analysers: new Map(), context: null };
  window.RTCPeerConnection = new Proxy(Original, {
    construct(target, parameters) {
      const connection = new target(...parameters);
      ears.connections.push(connection);
      return connection;
    },
  });
  window.soundReceived = async () => {
    let most = { packetsReceived: 0, packetsLost: 0 };
    for (const connection of ears.connections) {
      if (connection.connectionState === "closed") continue;
      for (const report of (await connection.getStats()).values()) {
        const isSound = report.type === "inbound-rtp" && report.kind === "audio";
        if (isSound && report.packetsReceived > most.packetsReceived) most = report;
      }
    }
    return { packets: most.packetsReceived, lost: most.packetsLost };
  };
  window.shareOfTone = (tone) => {
    ears.context ??= new AudioContext();
    let near = 0, all = 0;
    for (const connection of ears.connections) {
      if (connection.connectionState === "closed") continue;
      for (const receiver of connection.getReceivers()) {
        if (receiver.track.kind !== "audio") continue;
        if (!ears.analysers.has(receiver.track)) {
          const analyser = new AnalyserNode(ears.context, { fftSize: 16384, smoothingTimeConstant: 0 });
          ears.context.createMediaStreamSource(new MediaStream([receiver.track])).connect(analyser);
          ears.analysers.set(receiver.track, analyser);
        }
        const analyser = ears.analysers.get(receiver.track);
        const bins = new Float32Array(analyser.frequencyBinCount);
        analyser.getFloatFrequencyData(bins);
        const width = ears.context.sampleRate / analyser.fftSize;
        bins.forEach((decibels, index) => {
          if (decibels < -90 || index * width < 50) return;
          const power = 10 ** (decibels / 10);
          all += power;
          if (Math.abs(index * width - tone) <= 20) near += power;
        });
      }
    }
    return all > 0 ? near / all : 0;
  };
})();
"""


@dataclass(frozen=True, slots=True)
class SoundReceived:
    """Packets of one audio track; those are lost whose sequence numbers never came."""

    packets: int
    lost: int


class Browser:
    """A browser whose microphone is a tone of ``tone`` Hz; use it as a context manager."""

    def __init__(
        self, playwright: Playwright, folder: Path, *, tone: int = 1000, width: int = 1280, height: int = 800
    ) -> None:
        folder.mkdir(parents=True)
        self.tone = tone
        self._playwright = playwright
        self._wav = write_tone(folder / "microphone.wav", tone, 30)
        self._profile = folder / "profile"
        self._size = {"width": width, "height": height}

    def __enter__(self) -> Self:
        self._context = self._playwright.chromium.launch_persistent_context(
            self._profile,
            executable_path="/usr/bin/chromium",
            headless=True,
            args=[*FLAGS, f"--use-file-for-fake-audio-capture={self._wav}"],
            viewport=self._size,  # type: ignore[arg-type]  # a TypedDict there
            permissions=["microphone", "camera"],
        )
        self._context.add_init_script(LISTEN)
        self.page: Page = self._context.pages[0]
        self.console: list[str] = []
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def open(self, url: str, name: str = "Ada") -> None:
        """Opens the room page and types a name."""
        self.go_away()
        self.console.clear()
        self.page.goto(url)
        self.page.get_by_test_id("name-input").fill(name)

    def join(self, url: str, name: str = "Ada") -> None:
        """Opens the room page, types a name, joins, and returns when sound can flow."""
        self.open(url, name)
        self.page.get_by_test_id("join-button").click()
        self._wait_until(
            lambda: bool(self.page.evaluate("window.dialroom?.media === 'connected'")), 20, "the browser has no media"
        )
        self.page.get_by_test_id("leave-button").wait_for()

    def go_away(self) -> None:
        """Leaves the page, and with it the room."""
        self.page.goto("about:blank")

    def leave(self) -> None:
        """Presses leave."""
        self.page.get_by_test_id("leave-button").click()

    def hears(self, tone: float, *, seconds: float = 30, share: float = 0.5) -> None:
        """Waits until what the browser plays is mostly ``tone`` Hz."""
        self._wait_until(lambda: self._share(tone) >= share, seconds, f"the browser never heard {tone} Hz")

    def hears_no(self, tone: float, *, seconds: float = 30) -> None:
        """Waits until nothing of ``tone`` Hz is in what the browser plays, ten looks in a row."""
        quiet = 0

        def long_quiet() -> bool:
            nonlocal quiet
            quiet = quiet + 1 if self._share(tone) <= 0.004 else 0
            return quiet >= 10

        wait_until(long_quiet, seconds, lambda: f"the browser never stopped hearing {tone} Hz")

    def sound_received(self) -> SoundReceived:
        """What came over the network so far on the audio track that brought most."""
        return SoundReceived(**self.page.evaluate("window.soundReceived()"))

    def receives_more(self, seconds: float) -> None:
        """Waits until so much more sound came, in packets of 20 ms."""
        enough = self.sound_received().packets + seconds * 50
        self._wait_until(lambda: self.sound_received().packets >= enough, 30, "no more sound came to the browser")

    def sees_tile(self, name: str) -> None:
        """Waits for a tile with this name."""
        self.page.get_by_test_id("tile-name").filter(has_text=name).first.wait_for(timeout=30_000)

    def sees_no_tile(self, name: str) -> None:
        """Waits until no tile has this name."""
        self.page.get_by_test_id("tile-name").filter(has_text=name).first.wait_for(state="detached", timeout=30_000)

    def sees_video_of(self, name: str) -> None:
        """Waits until the tile with this name shows moving pictures."""
        self.sees_moving(self.tile(name).locator("video").first)

    def sees_moving(self, video: Locator) -> None:
        """Waits until this picture moves: frames with content that follow each other."""
        video.wait_for(timeout=30_000)
        self._wait_until(
            lambda: bool(video.evaluate("video => video.getVideoPlaybackQuality().totalVideoFrames > 10")),
            30,
            "the picture does not move",
        )
        assert video.evaluate("video => video.videoWidth") > 0

    def sees_speaking(self, name: str) -> None:
        """Waits until the tile with this name is marked as that of somebody who speaks."""
        self._sees_speaking(name, "true")

    def sees_silent(self, name: str) -> None:
        """Waits until it is not."""
        self._sees_speaking(name, "false")

    def _sees_speaking(self, name: str, speaking: str) -> None:
        tile = self.tile(name)
        self._wait_until(
            lambda: tile.get_attribute("data-speaking") == speaking, 30, f"{name}: speaking never became {speaking}"
        )

    def cut_socket(self) -> None:
        """The network takes the room's WebSocket away, and no new one comes through."""
        self.page.evaluate("window.sockets.blocked = true; window.sockets.open.forEach(socket => socket.close(3000))")

    def restore_socket(self) -> None:
        """WebSockets come through again."""
        self.page.evaluate("window.sockets.blocked = false")

    def tile(self, name: str) -> Locator:
        """The tile with this name."""
        named = self.page.get_by_test_id("tile-name").filter(has_text=name)
        return self.page.get_by_test_id("tile").filter(has=named).first

    def click(self, test_id: str) -> None:
        """Presses a button."""
        self.page.get_by_test_id(test_id).click()

    def person(self, name: str) -> Locator:
        """Somebody's line in the list of people, which is opened if it is not."""
        if not self.page.get_by_test_id("people-panel").is_visible():
            self.click("people-button")
        return self.page.get_by_test_id("person").filter(has_text=name).first

    def _share(self, tone: float) -> float:
        return float(self.page.evaluate("tone => window.shareOfTone(tone)", tone))

    def _wait_until(self, true: Callable[[], bool], seconds: float, otherwise: str) -> None:
        wait_until(true, seconds, lambda: f"{otherwise}; console: {self.console[-5:]}")
