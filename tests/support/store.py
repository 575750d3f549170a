"""Stores to test against: SQLite always, PostgreSQL when its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dialroom.core.bus import EventBus
from dialroom.store.store import Store


async def open_sqlite_store(directory: Path, bus: EventBus | None = None) -> Store:
    """A store in a directory; opened again, it holds what it held."""
    return await Store.open(f"sqlite:///{directory / 'dialroom.db'}", directory, bus or EventBus())


def find_postgres_programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, None if PostgreSQL is not installed."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places += [Path(found).resolve().parent] if found else []
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


@contextmanager
def private_postgres(programs: Path) -> Iterator[str]:
    """A PostgreSQL of our own on loopback, gone afterwards; yields the URL prefix without a database's name."""
    base = Path(tempfile.mkdtemp(prefix="dialroom-pg-"))
    user = _owner(base)
    data, port = base / "data", _free_port()
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    )
    try:
        _run(user, programs / "initdb", "-D", data, "-U", "dialroom", "-A", "trust", "-E", "UTF8", "--no-sync")
        _run(user, programs / "pg_ctl", "-D", data, "-l", base / "log", "-o", options, "-w", "start")
        yield f"postgresql+psycopg://dialroom@127.0.0.1:{port}"
    finally:
        if (data / "postmaster.pid").exists():
            _run(user, programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(base)


def _owner(base: Path) -> str | None:
    """PostgreSQL refuses to run as root: then the packaged user, or nobody, owns the directory."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    shutil.chown(base, user)
    return user


def _run(user: str | None, *command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, user=user, stdout=subprocess.DEVNULL, cwd="/")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
