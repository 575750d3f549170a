"""The credentials browsers get, tried on coturn."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dialroom.api.turn import ice_servers
from dialroom.config import TurnServer

from .support.ports import free_port
from .support.waiting import wait_until

SECRET = "shared with coturn"
SERVER = TurnServer.model_validate({"urls": ["turn:127.0.0.1"], "secret": SECRET})

Allocate = Callable[[str, str], bool]


@pytest.fixture
def allocate(tmp_path: Path) -> Iterator[Allocate]:
    """A running coturn; says whether it lets a username and password relay."""

    port = free_port()
    options = {"listening-ip": "127.0.0.1", "relay-ip": "127.0.0.1", "listening-port": port, "realm": "example.com"}
    files = {"pidfile": tmp_path / "pid", "userdb": tmp_path / "users", "log-file": tmp_path / "log"}
    settings = [f"--{name}={value}" for name, value in {**options, **files}.items()]
    flags = ["--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers", "--simple-log", "--use-auth-secret"]
    server = subprocess.Popen(
        ["turnserver", "-n", *settings, *flags, f"--static-auth-secret={SECRET}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def try_to_allocate(username: str, credential: str) -> bool:
        command = ["turnutils_uclient", "-y", "-n", "1", "-c", "-u", username, "-w", credential, "-p", str(port)]
        tried = subprocess.run([*command, "127.0.0.1"], capture_output=True, timeout=30, check=False)
        return tried.returncode == 0 and b"tot_recv_msgs=2" in tried.stdout

    try:
        wait_until(listening, 10, lambda: "coturn does not listen")
        yield try_to_allocate
    finally:
        server.terminate()
        server.wait(10)


def test_coturn_relays_for_who_was_given_credentials_until_they_expire(allocate: Allocate) -> None:
    given = ice_servers([SERVER], "part_x", datetime.now(UTC))[0]
    assert allocate(given["username"], given["credential"])
    assert not allocate(given["username"], given["credential"][:-2] + "x=")
    expired = ice_servers([SERVER], "part_x", datetime.now(UTC) - timedelta(days=1))[0]
    assert not allocate(expired["username"], expired["credential"])
