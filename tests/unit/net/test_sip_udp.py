"""What a datagram socket carries."""

from __future__ import annotations

import socket
import time

import pytest

from dialroom.net.sip_udp import UdpTransport, local_address_towards
from dialroom.sip.address import Address, ip_literal


@pytest.mark.parametrize(
    ("ours", "theirs", "leaves"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::1", False),
        ("::1", "::1", True),
        ("::1", "127.0.0.1", False),
        ("::", "::1", True),
        ("::", "127.0.0.1", True),
    ],
)
async def test_what_cannot_leave_is_said_at_once_so_that_nobody_waits_for_an_answer(
    ours: str, theirs: str, leaves: bool
) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"THIS MACHINE HAS NO IPV6: {error}")
    transport = await UdpTransport.bind(ours, 0, lambda *_: None)
    assert transport.send(b"x", Address("udp", theirs, 9)) is leaves
    await transport.close()


def test_our_address_towards_a_name_is_told_without_waiting_for_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Probe(socket.socket):
        def connect(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            asked.append(address[0])

        def getsockname(self) -> object:
            return ("192.0.2.7", 9)

    monkeypatch.setattr(socket, "socket", Probe)
    monkeypatch.setattr(time, "monotonic", lambda: 1e12)
    assert local_address_towards("slow.example") == "192.0.2.7"
    assert [ip_literal(each) is not None for each in asked] == [True]
