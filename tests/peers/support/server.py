"""The real server, as a process: started on free ports of loopback, killed and started again."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2

from .ports import free_port, media_ports
from .waiting import wait_until

READY = "dialroom is ready."
NUMBER = "1000"
"""What the demo number of a first start is."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Room:
    """A room made for a test."""

    id: str
    url: str
    host_url: str
    code: str
    name: str


class DialroomServer:
    """``dialroom serve`` with a data folder of its own; use it as a context manager.

    ``settings`` are written as in the configuration file. ``command`` starts a dialroom installed elsewhere.
    """

    def __init__(
        self,
        folder: Path,
        *,
        command: tuple[str, ...] = (sys.executable, "-m", "dialroom"),
        environment: dict[str, str] | None = None,
        **settings: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.sip_port = free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)
        self._command = command
        low, high = media_ports(20000, 32000, 200)
        values = {
            "data_dir": str(folder / "data"),
            "http_port": str(free_port(socket.SOCK_STREAM)),
            "sip_host": "127.0.0.1",
            "sip_port": str(self.sip_port),
            "webrtc_port": str(free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)),
            "webrtc_addresses": "127.0.0.1",
            "rtp_ports": f"{low}-{high}",
            "log_format": "json",
            "webhook_allowed_networks": "127.0.0.0/8",
            **settings,
        }
        ours = {f"DIALROOM_{name.upper()}": value for name, value in values.items()}
        theirs = os.environ if environment is None else environment
        kept = {name: value for name, value in theirs.items() if not name.startswith("DIALROOM_") or "MEDIA" in name}
        self._environment = {**kept, **ours, "PYTHONUNBUFFERED": "1"}
        self.base_url = f"http://127.0.0.1:{values['http_port']}"
        self._process: subprocess.Popen[str] | None = None
        self._starts = 0
        self.key = ""
        self.said = ""
        """What the newest start printed."""

    # --- life --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._api.close()

    def start(self) -> None:
        """Returns when calls can be answered."""
        self._starts += 1
        out = self.folder / f"out-{self._starts}.txt"
        with out.open("w") as stdout, (self.folder / "server.log").open("a") as stderr:
            self._process = subprocess.Popen(
                [*self._command, "serve"],
                stdout=stdout,
                stderr=stderr,
                env=self._environment,
                cwd=self.folder,
                text=True,
            )
        process = self._process

        def ready() -> bool:
            assert process.poll() is None, (
                f"the server ended with {process.returncode}:\n{self.log()}\n{out.read_text()}"
            )
            return READY in out.read_text()

        try:
            wait_until(ready, 120, lambda: f"the server never got ready:\n{self.log()}")
        except BaseException:
            self.stop()
            raise
        self.said = out.read_text()
        if found := re.search(r"^API key\s+(\S+)", self.said, re.MULTILINE):
            self.key = found[1]
            self._api = httpx2.Client(
                base_url=self.base_url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30
            )

    def kill(self) -> None:
        """kill -9: the process has no chance to say goodbye to anybody."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[Callable[[], None]]:
        """The process does nothing until what is yielded is called, or the block ends."""
        assert self._process is not None
        process = self._process
        process.send_signal(signal.SIGSTOP)
        try:
            yield lambda: process.send_signal(signal.SIGCONT)
        finally:
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, and returns when the process has ended; also ends a media process that was left alone."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
                self._end_media()
                raise AssertionError(f"the server did not stop:\n{self.log()}") from None
        self._end_media()

    def _end_media(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "data" / "media.pid").read_text())
            if b"dialroom-media" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, 15)

    def log(self, lines: int = 60) -> str:
        """The newest lines of the server's and its media process's log."""
        found = []
        for path in (self.folder / "server.log", self.folder / "data" / "media.log"):
            if path.exists():
                found += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-lines:]]
        return "\n".join(found)

    # --- doors -------------------------------------------------------------------------------------------------

    def sip(self, user: str = NUMBER, *, transport: str = "udp") -> str:
        """The address to dial."""
        suffix = "" if transport == "udp" else f";transport={transport}"
        return f"sip:{user}@127.0.0.1:{self.sip_port}{suffix}"

    def api(self, method: str, path: str, body: object = None, *, status: int | None = None) -> Any:
        """One request to ``/api``; returns the JSON. Anything but success (or ``status``) fails the test."""
        answer = (
            self._api.request(method, f"/api{path}", json=body)
            if body is not None
            else self._api.request(method, f"/api{path}")
        )
        expected = answer.is_success if status is None else answer.status_code == status
        assert expected, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def page(self, room: Room) -> str:
        """The room page, as a browser gets it."""
        answer = httpx2.get(room.url, timeout=30)
        assert answer.is_success, answer.text
        return answer.text

    def room(self, name: str = "Planning", **values: Any) -> Room:
        """Makes a room."""
        made = self.api("POST", "/rooms", {"name": name, **values})
        return Room(made["id"], made["join_url"], made["host_url"], made["dial_in"]["code"] or "", name)

    # --- what the server knows ---------------------------------------------------------------------------------

    def present(self, room: Room) -> list[dict[str, Any]]:
        """Who is in the room now, who came first first."""
        session = self.api("GET", f"/rooms/{room.id}")["session"]
        if session is None:
            return []
        people = self.api("GET", f"/sessions/{session}/participants?limit=200")["items"]
        return sorted((each for each in people if each["left_at"] is None), key=lambda each: str(each["joined_at"]))

    def participant(self, room: Room, kind: str, *, count: int = 1) -> dict[str, Any]:
        """Waits until there are ``count`` participants of this kind in the room; the newest of them."""
        found = self.until(
            lambda: [each for each in self.present(room) if each["kind"] == kind],
            lambda people: len(people) == count,
            f"{count} participants of kind {kind} in the room",
        )
        return found[-1]

    def empties(self, room: Room) -> None:
        """Waits until nobody is in the room."""
        self.until(lambda: self.present(room), lambda people: not people, "nobody in the room")

    def call(self, *, newest: int = 0) -> dict[str, Any]:
        """The newest call's record, or one before it."""
        calls = self.api("GET", f"/calls?limit={newest + 1}")["items"]
        assert len(calls) > newest, "there is no such call"
        record: dict[str, Any] = calls[newest]
        return record

    def ended_call(self, call: str | None = None) -> dict[str, Any]:
        """Waits until the call (the newest, if not named) has ended; its record."""
        name = call or self.call()["id"]
        return self.until(
            lambda: self.api("GET", f"/calls/{name}"), lambda record: record["state"] == "ended", "an ended call"
        )

    def step(self, what: str, *, times: int = 1, call: str | None = None) -> dict[str, Any]:
        """Waits until the call's record (the newest call's) has a step ``what``, so many times; the record."""
        name = call or self.until(lambda: self.api("GET", "/calls?limit=1")["items"], bool, "a call")[0]["id"]
        return self.until(
            lambda: self.api("GET", f"/calls/{name}"),
            lambda record: steps(record).count(what) >= times,
            f"{times} steps {what!r}",
        )

    def until(self, ask: Callable[[], T], good: Callable[[T], object], what: str, seconds: float = 30) -> T:
        """Asks until the answer is good; returns it."""
        answers: list[T] = []

        def asked() -> bool:
            answers[:] = [ask()]
            return bool(good(answers[0]))

        wait_until(asked, seconds, lambda: f"never came: {what}; the newest answer: {answers}\n{self.log()}")
        return answers[0]


def steps(record: dict[str, Any]) -> list[str]:
    """The words of a call record's steps."""
    return [step["what"] for step in record["steps"]]
