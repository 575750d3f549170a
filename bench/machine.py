"""The machine that figures belong to, and which of its CPUs serve and which make load."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Cpus:
    """CPU numbers, as ``taskset`` takes them. With a single CPU both are the same."""

    server: str
    load: str


def cpus() -> Cpus:
    """The last CPU serves, the first makes load."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cpus(server=str(allowed[-1]), load=str(allowed[0]))


def describe() -> str:
    """CPU, memory, kernel and the versions of what was measured, in one line."""
    info = Path("/proc/cpuinfo").read_text()
    model = _first(r"model name\s*:\s*(.+)", info) or platform.machine()
    virtual = ", virtual" if " hypervisor" in info else ""
    memory = int(_first(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text()) or 0) / 2**20
    count = len(os.sched_getaffinity(0))
    parts = [
        f"{model} × {count}{virtual}",
        f"{memory:.0f} GiB",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
        f"dialroom {_revision()}",
        f"Janus {_janus_version()}",
    ]
    return " · ".join(parts)


def load_average() -> float:
    """Runnable processes over the last minute; above about 0.5 before a run, others disturb it."""
    return os.getloadavg()[0]


def _revision() -> str:
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "without git"


def _janus_version() -> str:
    answer = subprocess.run(["dpkg-query", "-W", "-f=${Version}", "janus"], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "not installed"


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1).strip() if found else None
