"""Setting up calls with SIPp against a whole server, and what a call costs in memory.

Each call is a caller who dials the demo number, hears the welcome for two seconds and hangs up. A call succeeds when
INVITE, 200, ACK, BYE and 200 all happened without SIPp giving up.
"""

from __future__ import annotations

import asyncio
import csv
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.delay import percentile
from bench.machine import cpus
from bench.media_density import Say
from bench.process import BenchError, Process
from bench.server import Server, serving

SCENARIO = Path(__file__).with_name("caller.xml")
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``rates`` in calls/s, each for ``seconds``; calls last ``listen`` s. ``held``: calls held to weigh them."""

    rates: tuple[int, ...] = (10, 50, 100)
    seconds: float = 6.0
    listen: float = 2.0
    held: int = 200
    held_rate: int = 40


QUICK = Plan(rates=(10,), seconds=1.0, listen=0.5, held=10, held_rate=20)


@dataclass(frozen=True, slots=True)
class SetUp:
    """Calls tried and failed; INVITE → 200 in ms. ``cpu``: µs of the control plane per call."""

    calls: int
    failed: int
    repeated: int
    median: float
    p99: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of both planes: with no call, and per call while calls are held."""

    control_idle: int
    control_per_call: float
    media_idle: int
    media_per_call: float
    held: int


@dataclass(frozen=True, slots=True)
class Results:
    """Set-up per rate, and memory; a reason where it could not be measured."""

    rates: dict[int, SetUp | str]
    memory: Memory | str


async def measure(plan: Plan, say: Say) -> Results:
    """Runs the plan against one freshly started server."""
    with tempfile.TemporaryDirectory(prefix="dialroom-bench-") as name:
        folder = Path(name)
        try:
            async with serving(folder) as server:
                rates: dict[int, SetUp | str] = {}
                memory = await _weigh(server, plan, folder)
                say(f"  {memory}")
                for rate in plan.rates:
                    rates[rate] = await _set_up(server, rate, plan, folder)
                    say(f"  {rate} calls/s: {rates[rate]}")
                return Results(rates, memory)
        except (BenchError, OSError) as error:
            say(f"  {error}")
            return Results(dict.fromkeys(plan.rates, str(error)), str(error))


async def _set_up(server: Server, rate: int, plan: Plan, folder: Path) -> SetUp:
    calls = int(rate * plan.seconds)
    before = server.control.cpu_seconds()
    prefix = folder / f"rate_{rate}"
    prefix.mkdir()
    await _sipp(server, prefix, rate=rate, calls=calls, listen=plan.listen)
    used = server.control.cpu_seconds() - before
    times = sorted(_response_times(prefix))
    counts = _counts(prefix)
    if not times:
        raise BenchError(f"no call was answered at {rate} calls/s; see {server.control.log}")
    return SetUp(
        calls=calls,
        failed=calls - counts["SuccessfulCall(C)"],
        repeated=counts["Retransmissions(C)"],
        median=percentile(times, 0.5),
        p99=percentile(times, 0.99),
        cpu=used * 1e6 / calls,
    )


async def _weigh(server: Server, plan: Plan, folder: Path) -> Memory:
    """Memory before any call, then with calls held; a few calls first, so that code and pools are loaded."""
    warm = folder / "warm"
    warm.mkdir()
    await _sipp(server, warm, rate=5, calls=5, listen=0.2)
    control, media = server.control.resident(), server.media.resident()
    hold = folder / "hold"
    hold.mkdir()
    lasting = plan.held / plan.held_rate + 3.0
    running = asyncio.create_task(_sipp(server, hold, rate=plan.held_rate, calls=plan.held, listen=lasting))
    await asyncio.sleep(plan.held / plan.held_rate + 1.5)
    control_full, media_full = server.control.resident(), server.media.resident()
    await running
    return Memory(
        control_idle=control,
        control_per_call=(control_full - control) / plan.held,
        media_idle=media,
        media_per_call=(media_full - media) / plan.held,
        held=plan.held,
    )


async def _sipp(server: Server, folder: Path, *, rate: int, calls: int, listen: float) -> None:
    program = shutil.which("sipp")
    if program is None:
        raise BenchError("sipp is not installed; apt-get install sip-tester")
    command = [program, server.sip, "-sf", SCENARIO, "-s", server.number, "-i", "127.0.0.1", "-mi", "127.0.0.1"]
    command += ["-r", str(rate), "-m", str(calls), "-l", str(calls), "-d", f"{listen * 1000:.0f}", "-nostdin"]
    command += ["-recv_timeout", "10000", "-timeout", "60", "-trace_rtt", "-rtt_freq", "1", "-trace_stat", "-fd", "1"]
    command += ["-trace_err", "-error_file", folder / "errors.log"]
    process = await Process.start([str(word) for word in command], cpu=cpus().load, log=folder / "sipp.log", cwd=folder)
    try:
        async with asyncio.timeout(calls / rate + listen + PATIENCE_SECONDS):
            await process.ended()
    except TimeoutError:
        raise BenchError(f"SIPp was not done with {calls} calls at {rate} calls/s") from None
    finally:
        await process.stop()


def _response_times(folder: Path) -> list[float]:
    """INVITE → 200 of each call in ms. SIPp names its files after the scenario's file."""
    times = []
    for path in folder.glob("*_rtt.csv"):
        with path.open(newline="") as lines:
            times += [float(row["response_time_ms"]) for row in csv.DictReader(lines, delimiter=";")]
    return times


def _counts(folder: Path) -> dict[str, int]:
    """SIPp's cumulative counters at the end."""
    for path in folder.glob("caller_*_.csv"):
        with path.open(newline="") as lines:
            last = list(csv.DictReader(lines, delimiter=";"))[-1]
        return {key: int(value) for key, value in last.items() if key and key.endswith("(C)") and value.isdecimal()}
    raise BenchError(f"SIPp left no statistics; see {folder}/sipp.log")
