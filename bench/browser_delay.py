"""How much later than possible a browser gets, and plays, what a phone said.

Chromium joins a room from its page, and two phones call into it; the first sends tones. The page notes when the start
of each arrives in a packet, and when it is played, by the same machine's clock. The first figure is that of phone →
phone with a browser at the other end; the second contains Chromium's jitter buffer and its way to the sound card.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
from playwright.async_api import Error as BrowserError
from playwright.async_api import Page, async_playwright
from tests.peers.support.browser import FLAGS

from bench import load
from bench.caller import Caller
from bench.delay import PAIR, Delay, summarize
from bench.media_density import Say
from bench.process import BenchError
from bench.server import Server, serving

EARS = Path(__file__).with_name("ears.js")
NUMBER = "7000"
JOIN_MS = 20_000
LONGEST_MS = 700.0


@dataclass(frozen=True, slots=True)
class BrowserDelay:
    """Added delay beyond the packet's own 20 ms, until the sound ``arrived`` in a packet and until it was ``heard``.

    ``output``: what of the second is the browser's way from the sound it has made to the sound card, ms.
    """

    arrived: Delay
    heard: Delay
    output: float


async def measure(say: Say, seconds: float = 12.0) -> BrowserDelay | str:
    """Tones for ``seconds`` s from a phone to a browser; a reason if it could not be measured."""
    with tempfile.TemporaryDirectory(prefix="dialroom-bench-") as name:
        try:
            async with asyncio.timeout(seconds + 90), serving(Path(name)) as server:
                found: BrowserDelay | str = await _measure(server, Path(name), seconds)
        except (BenchError, BrowserError, httpx2.HTTPError, OSError, TimeoutError) as error:
            found = str(error) or "it took too long"
    say(f"  {found}")
    return found


async def _measure(server: Server, folder: Path, seconds: float) -> BrowserDelay:
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx2.AsyncClient(base_url=server.api, headers=headers) as api, Caller.open() as caller:
        room = await _post(api, "/api/rooms", {"name": "Bench"})
        await _post(api, "/api/numbers", {"number": NUMBER, "room": room["id"]})
        async with _in_the_room(room["join_url"]) as page:

            async def open_legs(sources: Sequence[str]) -> AsyncIterator[str]:
                calls = [await caller.dial(f"sip:{NUMBER}@{server.sip}", source) for source in sources]
                await _all_there(api, room["id"], len(calls) + 1)
                state = await page.evaluate("window.listenForTones()")
                if state != "running":
                    raise BenchError(f"the browser's sound is {state}")
                for target in calls:
                    yield target

            arguments = ["delay", "--legs", str(PAIR), "--seconds", f"{seconds:g}"]
            report = await load.run(arguments, open_legs, folder / "delay.log")
            await asyncio.sleep(LONGEST_MS / 1000)
            tones: dict[str, Any] = await page.evaluate("window.tones")
    if tones["failed"]:
        raise BenchError(f"the browser could not read what arrived: {tones['failed'][0]}")
    sent = [at * 1000 for at in report["sent_at"][0]]
    arrived, heard = match(sent, tones["arrived"]), match(sent, tones["heard"])
    return BrowserDelay(arrived, heard, output=median(tones["output"]))


async def _post(api: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post(path, json=body)
    if answer.status_code >= 300:
        raise BenchError(f"POST {path} was answered by {answer.status_code}: {answer.text}")
    made: dict[str, Any] = answer.json()
    return made


async def _all_there(api: httpx2.AsyncClient, room: str, count: int) -> None:
    """Waits until so many are in the room: callers first hear how many are there."""
    present = 0
    for _ in range(100):
        session = (await api.get(f"/api/rooms/{room}")).json()["session"]
        if session is not None:
            people = (await api.get(f"/api/sessions/{session}/participants")).json()["items"]
            present = sum(person["left_at"] is None for person in people)
        if present >= count:
            return
        await asyncio.sleep(0.2)
    raise BenchError(f"{present} of {count} came into the room")


def match(sent: Sequence[float], noted: Sequence[float]) -> Delay:
    """Delays from each moment in ``sent`` to the first in ``noted`` after it (ms). Raises `BenchError` without any."""
    delays = []
    for at in sent:
        later = [when - at for when in noted if 0 <= when - at < LONGEST_MS]
        if later:
            delays.append(min(later))
    return summarize(delays, len(sent) - len(delays))


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
