"""A start of the media process that is given up leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from dialroom.config import load_config
from dialroom.media import process as media_process
from dialroom.media.process import BINARY_VARIABLE, MediaProcess, MediaProcessError, MediaProcessSettings
from dialroom.server import Server

NEVER_READY = "#!/bin/sh\necho $$ > {pid}\nexec sleep 600\n"


@pytest.fixture
def pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a media process that never gets ready leaves its number."""
    binary, pid_file = tmp_path / "media", tmp_path / "pid"
    binary.write_text(NEVER_READY.format(pid=pid_file))
    binary.chmod(0o700)
    monkeypatch.setenv(BINARY_VARIABLE, str(binary))
    return pid_file


def noted(pid_file: Path) -> int:
    """The number, 0 before it is there."""
    text = pid_file.read_text() if pid_file.exists() else ""
    return int(text) if text.endswith("\n") else 0


async def started(pid_file: Path) -> int:
    async with asyncio.timeout(10):
        while not noted(pid_file):  # noqa: ASYNC110 - another program's doing
            await asyncio.sleep(0.005)
    return noted(pid_file)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_process_whose_start_is_given_up_is_gone_at_once(pid_file: Path, tmp_path: Path) -> None:
    starting = asyncio.create_task(MediaProcess(MediaProcessSettings(data_dir=tmp_path)).ensure())
    pid = await started(pid_file)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert gone(pid)


async def test_a_server_whose_start_is_given_up_leaves_no_media_process(pid_file: Path, tmp_path: Path) -> None:
    values: dict[str, Any] = {"http_port": 0, "sip_host": "127.0.0.1", "sip_port": 0, "webrtc_port": 0}
    starting = asyncio.create_task(Server(load_config(environ={}, data_dir=tmp_path, **values)).start())
    pid = await started(pid_file)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert gone(pid)


async def test_a_start_given_up_while_the_process_is_made_leaves_none(pid_file: Path, tmp_path: Path) -> None:
    process = MediaProcess(MediaProcessSettings(data_dir=tmp_path))
    spawn, loop, begun = process._spawn, asyncio.get_running_loop(), asyncio.Event()
    made = []

    def slowly(command: list[str]) -> object:
        loop.call_soon_threadsafe(begun.set)
        made.append(spawn(command))
        return made[0]

    process._spawn = slowly  # type: ignore[method-assign, assignment]
    starting = asyncio.create_task(process.ensure())
    await begun.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert gone(made[0].pid)


@pytest.mark.usefixtures("pid_file")
async def test_a_process_that_never_gets_ready_is_ended_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_process, "START_SECONDS", 0.05)
    process = MediaProcess(MediaProcessSettings(data_dir=tmp_path))
    spawn, made = process._spawn, []

    def remember(command: list[str]) -> object:
        made.append(spawn(command))
        return made[0]

    process._spawn = remember  # type: ignore[method-assign, assignment]
    with pytest.raises(MediaProcessError, match=r"did not get ready; see .*media\.log"):
        await process.ensure()
    assert gone(made[0].pid)
