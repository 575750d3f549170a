"""Our load generator, driven over its pipes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from bench.machine import ROOT, cpus
from bench.process import BenchError, Process

BINARY = ROOT / "rust" / "target" / "release" / "dialroom-loadgen"

Open = Callable[[Sequence[str]], AsyncIterator[str]]
"""Opens a leg for each source address of a phone, and tells at once where that phone is to send: so phones begin to
send one by one, as they do in life."""


def binary() -> Path:
    """The load generator. Raises `BenchError` if it was not built."""
    if not BINARY.exists():
        raise BenchError(f"{BINARY} is not built; run `make bench`, or cargo build --release -p dialroom-loadgen")
    return BINARY


async def start(arguments: Sequence[str], cpu: str, log: Path) -> Process:
    """Starts the load generator with ``arguments``."""
    return await Process.start([binary(), *arguments], cpu=cpu, log=log, pipes=True)


async def line(process: Process) -> dict[str, Any]:
    """The next line of its report."""
    text = await process.stdout.readline()
    if not text:
        await process.stop()
        process.check()
        raise BenchError(f"{process.name} said nothing more; see {process.log}")
    value: dict[str, Any] = json.loads(text)
    return value


async def run(
    arguments: Sequence[str], open_legs: Open, log: Path, *, measuring: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Runs ``load`` or ``delay`` against legs that ``open_legs`` opens; its report. ``measuring`` is called when the
    warm-up of ``load`` is over."""
    process = await start(arguments, cpus().load, log)
    try:
        async for target in open_legs((await line(process))["sources"]):
            process.stdin.write(f"{target}\n".encode())
            await process.stdin.drain()
        report = await line(process)
        if report["event"] == "measuring":
            measuring()
            report = await line(process)
        await process.ended()
        return report
    except ConnectionError as error:
        await process.stop()
        process.check()
        raise BenchError(f"{process.name}: {error}") from error
    finally:
        await process.stop()
