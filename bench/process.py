"""A process under measurement: pinned to its CPU, read from outside, ended at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 3.0
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM")
# What else runs on the machine disturbs less; only root may.
_NICE = ("nice", "-n", "-10") if os.geteuid() == 0 else ()


class BenchError(Exception):
    """A figure cannot be measured; the message says why."""


class Reading:
    """What can be read of a running process from outside."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far. Read from the kernel's clock of that process
        (clock_getcpuclockid(3)), which is the same sum as in /proc but not rounded to 10 ms."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def resident(self) -> int:
        """Bytes of memory that it holds now."""
        return self._status("VmRSS") * 1024

    def threads(self) -> int:
        """How many threads it runs."""
        return self._status("Threads")

    def _status(self, key: str) -> int:
        found = re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found.group(1))


class Process(Reading):
    """A running child process. ``log`` keeps what it writes on stderr (and on stdout, if that is not piped)."""

    def __init__(self, child: asyncio.subprocess.Process, name: str, log: Path) -> None:
        super().__init__(child.pid)
        self._child = child
        self.name = name
        self.log = log

    @classmethod
    async def start(
        cls,
        command: Sequence[str | Path],
        *,
        cpu: str,
        log: Path,
        pipes: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Process:
        """Starts ``command`` on ``cpu``. With ``pipes`` its stdin and stdout are ours."""
        words = [*_NICE, *_ENDS_WITH_US, "taskset", "--cpu-list", cpu, *map(str, command)]
        pipe = asyncio.subprocess.PIPE if pipes else None
        with log.open("ab") as sink:
            child = await asyncio.create_subprocess_exec(
                *words,
                stdin=pipe or asyncio.subprocess.DEVNULL,
                stdout=pipe or sink,
                stderr=sink,
                env=dict(env) if env is not None else None,
                cwd=cwd,
            )
        return cls(child, Path(str(command[0])).name, log)

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Its stdin; only with ``pipes``."""
        assert self._child.stdin is not None
        return self._child.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """Its stdout; only with ``pipes``."""
        assert self._child.stdout is not None
        return self._child.stdout

    def check(self) -> None:
        """Raises `BenchError` with the end of its log if it has ended."""
        if self._child.returncode is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-5:]
            raise BenchError(f"{self.name} ended with {self._child.returncode}: {' / '.join(lines)}")

    async def ended(self) -> None:
        """Waits until it has ended by itself."""
        await self._child.wait()

    async def stop(self) -> None:
        """Asks it to end, and ends it if it does not."""
        if self._child.returncode is None:
            self._child.terminate()
            try:
                await asyncio.wait_for(self._child.wait(), STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._child.kill()
                await self._child.wait()


async def until_exists(path: Path, process: Process, seconds: float = 10.0) -> None:
    """Waits for a file that ``process`` makes when it is ready."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(path.exists):
        await asyncio.sleep(0.02)
        process.check()
        if time.monotonic() > deadline:
            raise BenchError(f"{process.name} was not ready after {seconds:g} s; see {process.log}")
