"""``dialroom demo``: the main job before your eyes. A server, a room made through the API, and a test phone that dials
in, enters the code and speaks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console

from dialroom.cli.browser_end import open_browser
from dialroom.cli.ends import End, Finding, PhoneEnd, hear_each_other
from dialroom.cli.own_media import own_media
from dialroom.cli.phone import Line, PhoneFailure, TestPhone
from dialroom.config import load_config
from dialroom.prompts.catalogue import Prompts
from dialroom.server import Doors, Server

Say = Callable[[str], None]
TONES = (440.0, 660.0)
JOIN_SECONDS = 15.0
LINGER_SECONDS = 10
"""How long the media process outlives a demonstration that was killed: nobody comes back to it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a demonstration plays on."""

    doors: Doors
    api: httpx2.AsyncClient
    phone: TestPhone
    folder: Path
    say: Say


async def show(out: Console, *, check: bool) -> int:
    """Shows it. With ``check`` listens at both ends and returns 0 if everybody was heard, else 1."""
    began = time.monotonic()

    def say(text: str) -> None:
        out.print(f"{time.monotonic() - began:6.2f} s  {text}", markup=False)

    try:
        async with _stage(say) as stage:
            room = await _open_room(stage)
            line = await _dial_in(stage, room, "First phone")
            if check:
                return await _check(stage, room, line, out)
            await _leave_running(stage, room, line)
            return 0
    except (PhoneFailure, TimeoutError, httpx2.HTTPError) as error:
        say(f"It did not work: {error or 'it took too long'}")
        return 1


@asynccontextmanager
async def _stage(say: Say) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="dialroom-demo-") as name:
        folder = Path(name)
        config = load_config(
            data_dir=folder / "data",
            http_port=0,
            sip_host="127.0.0.1",
            sip_port=0,
            webrtc_port=0,
            media_linger_seconds=LINGER_SECONDS,
        )
        server = Server(config)
        say("starting the server")
        doors = await server.start()
        try:
            if doors.first is None:
                raise RuntimeError("a fresh data directory must make a first start")
            say(f"ready: API at {doors.base_url}/api/, SIP at {doors.sip_host}:{doors.sip_port}")
            headers = {"Authorization": f"Bearer {doors.first.api_key}"}
            async with (
                httpx2.AsyncClient(base_url=doors.base_url, headers=headers, timeout=10) as api,
                own_media() as media,
                TestPhone.open(media, lambda text: say(f"phone: {text}")) as phone,
            ):
                yield Stage(doors, api, phone, folder, say)
        finally:
            await server.stop()


async def _open_room(stage: Stage) -> dict[str, Any]:
    answer = await stage.api.post("/api/rooms", json={"name": "Demonstration"})
    answer.raise_for_status()
    room: dict[str, Any] = answer.json()
    stage.say(f"opened the room “{room['name']}” through the API: {room['join_url']}")
    return room


async def _dial_in(stage: Stage, room: dict[str, Any], caller: str) -> Line:
    number, code = room["dial_in"]["numbers"][0]["number"], room["dial_in"]["code"]
    present = len(await _participants(stage, room))
    target = f"sip:{number}@{stage.doors.sip_host}:{stage.doors.sip_port}"
    line = await stage.phone.dial(target, caller=caller)
    await line.send_digits(code)
    async with asyncio.timeout(JOIN_SECONDS):
        while len(people := await _participants(stage, room)) <= present:  # noqa: ASYNC110 - seen from outside, by the API
            await asyncio.sleep(0.1)
    names = ", ".join(f"{each['name']} ({each['kind']})" for each in people)
    stage.say(f"in the room: {names}")
    return line


async def _participants(stage: Stage, room: dict[str, Any]) -> list[dict[str, Any]]:
    """Who is in the room, by the API."""
    answer = await stage.api.get(f"/api/rooms/{room['id']}")
    answer.raise_for_status()
    session = answer.json()["session"]
    if session is None:
        return []
    listed = await stage.api.get(f"/api/sessions/{session}/participants")
    listed.raise_for_status()
    return [each for each in listed.json()["items"] if each["left_at"] is None]


async def _check(stage: Stage, room: dict[str, Any], line: Line, out: Console) -> int:
    async with contextlib.AsyncExitStack() as stack:
        ends = (PhoneEnd("phone", TONES[0], line, stage.folder), await _second_end(stage, room, stack))
        await asyncio.sleep(6.0)  # until the words about who is there and what can be pressed are over
        findings = await hear_each_other(ends)
        for finding in findings:
            stage.say(_said(finding))
        await line.hang_up()
    good = all(finding.good for finding in findings)
    out.print("VERDICT: good, both ends hear each other." if good else "VERDICT: bad.", markup=False)
    return 0 if good else 1


async def _second_end(stage: Stage, room: dict[str, Any], stack: contextlib.AsyncExitStack) -> End:
    """A browser where there is one, else another phone."""
    browser = await open_browser(stack, room["host_url"], TONES[1])
    if not isinstance(browser, str):
        names = ", ".join(f"{each['name']} ({each['kind']})" for each in await _participants(stage, room))
        stage.say(f"in the room: {names}")
        return browser
    stage.say(f"{browser}: another phone takes the place of the browser")
    other = await _dial_in(stage, room, "Second phone")
    stack.push_async_callback(other.hang_up)
    return PhoneEnd("second phone", TONES[1], other, stage.folder)


def _said(finding: Finding) -> str:
    mark = "ok " if finding.good else "BAD"
    if finding.listener == finding.speaker:
        return f"{mark}  the {finding.listener} hears itself at {finding.level:.0f} dBov"
    return f"{mark}  the {finding.listener} hears the {finding.speaker} at {finding.level:.0f} dBov"


async def _leave_running(stage: Stage, room: dict[str, Any], line: Line) -> None:
    music = Prompts.load().clip("en", "hold_music").path
    await line.play_file(music, loop=True)
    stage.say("Join the room and listen to the phone:")
    stage.say(f"  {room['host_url']}")
    stage.say("Stop with Ctrl-C.")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    ended = asyncio.create_task(line.ended.wait())
    await asyncio.wait({ended, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await line.hang_up()
