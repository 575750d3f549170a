"""How much later than possible a browser plays what a phone said.

Chromium joins the demo room from its page. Two legs of the load generator are put into the same bridge over a control
link of our own; the first sends tones. The page notes when it plays the start of each, by the same machine's clock. So
the figure contains the media plane, Chromium's jitter buffer and its way to the sound card.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Error as BrowserError
from playwright.async_api import Page, async_playwright
from tests.peers.support.browser import FLAGS

from bench import load
from bench.delay import PAIR, Delay, summarize
from bench.media_density import Say
from bench.media_plane import open_leg
from bench.process import BenchError
from bench.server import Server, serving
from dialroom.media.client import MediaClient
from dialroom.media.plane import MediaError
from dialroom.media.protocol import Snapshot

EARS = Path(__file__).with_name("ears.js")
JOIN_MS = 20_000
LONGEST_MS = 700.0


async def measure(say: Say, seconds: float = 12.0) -> Delay | str:
    """Tones for ``seconds`` s from a phone to a browser; a reason if it could not be measured."""
    with tempfile.TemporaryDirectory(prefix="dialroom-bench-") as name:
        try:
            async with asyncio.timeout(seconds + 90), serving(Path(name)) as server:
                found: Delay | str = await _measure(server, Path(name), seconds)
        except (BenchError, BrowserError, MediaError, OSError, TimeoutError) as error:
            found = str(error) or "it took too long"
    say(f"  {found}")
    return found


async def _measure(server: Server, folder: Path, seconds: float) -> Delay:
    async with _in_the_room(server.page) as page:
        client = MediaClient(f"unix:{folder}/data/media.sock")
        snapshot = await client.connect()
        try:
            report = await load.run(
                ["delay", "--legs", str(PAIR), "--seconds", f"{seconds:g}"],
                lambda sources: _open_legs(client, snapshot, page, sources),
                folder / "delay.log",
            )
        finally:
            await client.close()
        await asyncio.sleep(LONGEST_MS / 1000)
        heard: list[float] = await page.evaluate("window.tonesHeard")
    return match([at * 1000 for at in report["sent_at"][0]], heard)


def match(sent: Sequence[float], heard: Sequence[float]) -> Delay:
    """Delays from each moment in ``sent`` to the first in ``heard`` after it (ms). Raises `BenchError` without any."""
    delays = []
    for at in sent:
        later = [when - at for when in heard if 0 <= when - at < LONGEST_MS]
        if later:
            delays.append(min(later))
    return summarize(delays, len(sent) - len(delays))


async def _open_legs(client: MediaClient, snapshot: Snapshot, page: Page, sources: Sequence[str]) -> AsyncIterator[str]:
    if len(snapshot.bridges) != 1:
        raise BenchError(f"the browser should be in the only bridge; there are {len(snapshot.bridges)}")
    state = await page.evaluate("window.listenForTones()")
    if state != "running":
        raise BenchError(f"the browser's sound is {state}")
    for number, source in enumerate(sources):
        yield await open_leg(client, number, snapshot.bridges[0], source)


@asynccontextmanager
async def _in_the_room(link: str) -> AsyncIterator[Page]:
    program = shutil.which("chromium")
    if program is None:
        raise BenchError("chromium is not installed; apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        try:
            context = await browser.new_context(bypass_csp=True, permissions=["microphone", "camera"])
            await context.add_init_script(path=EARS)
            page = await context.new_page()
            await page.goto(link)
            await page.get_by_test_id("name-input").fill("Bench")
            await page.get_by_test_id("join-button").click()
            await page.wait_for_function("window.dialroom && window.dialroom.media === 'connected'", timeout=JOIN_MS)
            yield page
        finally:
            await browser.close()
