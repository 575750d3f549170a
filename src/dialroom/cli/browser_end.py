"""A browser as an end of the demonstration: Chromium on the room page, its microphone a tone, its sound measured.

Needs Playwright and Chromium, which are there where dialroom is developed; `open_browser` says when they are not.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)
JOIN_SECONDS = 20.0

VOICE = """
(() => {
  const open = MediaDevices.prototype.getUserMedia;
  const voices = [];
  window.speakTone = (frequency) => voices.forEach(({ oscillator, gain }) => {
    oscillator.frequency.value = frequency;
    gain.gain.value = 0.1414; // -20 dBov
  });
  MediaDevices.prototype.getUserMedia = async function (constraints) {
    const stream = constraints.video ? await open.call(this, { video: constraints.video }) : new MediaStream();
    if (constraints.audio) {
      const context = new AudioContext();
      const oscillator = new OscillatorNode(context);
      const gain = new GainNode(context, { gain: 0 });
      const destination = context.createMediaStreamDestination();
      oscillator.connect(gain).connect(destination);
      oscillator.start();
      voices.push({ oscillator, gain });
      stream.addTrack(destination.stream.getAudioTracks()[0]);
    }
    return stream;
  };
})();
"""

LISTEN = """
async ([seconds, frequencies]) => {
  const context = new AudioContext();
  const ears = window.dialroom.audioTracks().map(({ track }) => {
    const ear = new AnalyserNode(context, { fftSize: 8192 });
    context.createMediaStreamSource(new MediaStream([track])).connect(ear);
    return ear;
  });
  const power = (samples, frequency) => {
    const coefficient = 2 * Math.cos((2 * Math.PI * frequency) / context.sampleRate);
    let before = 0, last = 0;
    for (const sample of samples) [before, last] = [last, sample + coefficient * last - before];
    return (2 * Math.max(0, before ** 2 + last ** 2 - coefficient * before * last)) / samples.length ** 2;
  };
  const heard = frequencies.map(() => []);
  const samples = new Float32Array(8192);
  for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const sums = frequencies.map(() => 0);
    for (const ear of ears) {
      ear.getFloatTimeDomainData(samples);
      frequencies.forEach((frequency, index) => { sums[index] += power(samples, frequency); });
    }
    sums.forEach((sum, index) => heard[index].push(10 * Math.log10(Math.max(sum, 2.5e-10))));
  }
  await context.close();
  return heard.map((levels) => levels.sort((a, b) => b - a)[Math.floor(levels.length / 8)]);
}
"""


@dataclass(frozen=True, slots=True)
class BrowserEnd:
    """A browser in the room."""

    name: str
    frequency: float
    page: Page

    async def speak(self) -> None:
        """Starts its tone."""
        await self.page.evaluate("frequency => window.speakTone(frequency)", self.frequency)

    async def listen(self, seconds: float, frequencies: tuple[float, ...]) -> dict[float, float]:
        """How loud it hears each of these tones, in dBov: the median of the strongest quarter of its looks."""
        levels = await self.page.evaluate(LISTEN, [seconds, list(frequencies)])
        return dict(zip(frequencies, (float(level) for level in levels), strict=True))


async def open_browser(stack: AsyncExitStack, room_url: str, frequency: float) -> BrowserEnd | str:
    """A browser that has joined the room, closed with ``stack``; or why there is none on this machine."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        return "Playwright is not installed"
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        return "Chromium is not installed"
    playwright = await stack.enter_async_context(async_playwright())
    browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
    stack.push_async_callback(browser.close)
    page = await (await browser.new_context(permissions=["microphone", "camera"])).new_page()
    await page.add_init_script(VOICE)
    await page.goto(room_url)
    await page.get_by_test_id("name-input").fill("Browser")
    await page.get_by_test_id("join-button").click()
    async with asyncio.timeout(JOIN_SECONDS):
        # Playwright's own waiting for a function evaluates a string in the page, which the page's policy forbids.
        while not await page.evaluate("window.dialroom?.media === 'connected'"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return BrowserEnd("browser", frequency, page)
