"""UDP under the SIP endpoint."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from dialroom.sip.address import Address, ip_literal, unmapped

Receiver = Callable[[bytes, Address], None]
_RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes asked of the kernel, so that a burst of set-ups waits there instead of being lost."""

_ROUTE_SECONDS = 5.0
_ANYWHERE = "192.0.2.1"
"""RFC 5737: nobody's address. Nothing is sent to it."""


class UdpTransport(asyncio.DatagramProtocol):
    """One bound datagram socket; one for all addresses of IPv6 carries IPv4, too."""

    def __init__(self, receive: Receiver) -> None:
        self._receive = receive
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()
        self.port = 0
        self._family = socket.AF_INET
        self._both = False

    @classmethod
    async def bind(cls, host: str, port: int, receive: Receiver) -> UdpTransport:
        """Bind. Raises OSError."""
        literal = ip_literal(host)
        family = socket.AF_INET6 if literal is not None and literal.version == 6 else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            bound.setblocking(False)
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        self = cls(receive)
        self._family = family
        self._both = literal is not None and family == socket.AF_INET6 and literal.is_unspecified
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=bound)
        self.port = int(bound.getsockname()[1])
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the socket is ready."""
        # Neither CPython 3.11's nor uvloop's datagram transport derives from asyncio.DatagramTransport.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """asyncio: a datagram."""
        self._receive(data, Address("udp", unmapped(addr[0]), addr[1]))

    def error_received(self, exc: Exception) -> None:
        """asyncio: an ICMP error for something sent earlier; which one is not told, and the timers will notice."""

    def carries(self, family: int) -> bool:
        """Whether datagrams to addresses of this family can leave."""
        return family == self._family or (self._both and family == socket.AF_INET)

    def send(self, data: bytes, target: Address) -> bool:
        """Send a datagram; False when it cannot even leave (wrong family, socket closed)."""
        literal = ip_literal(target.host)
        family = socket.AF_INET6 if literal is not None and literal.version == 6 else socket.AF_INET
        if self._transport is None or self._transport.is_closing() or not self.carries(family):
            return False
        host = target.host if family == self._family else f"::ffff:{target.host}"
        self._transport.sendto(data, (host, target.port))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the socket is closed."""
        self._closed.set()

    async def close(self) -> None:
        """Close the socket; afterwards its port is free."""
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()


def local_address_towards(peer: str) -> str:
    """Our address as the kernel would use it to reach `peer`; loopback when there is no route. For a name it is that of
    the default route: nobody may keep us waiting by a name in a Contact or Record-Route that DNS is slow to know.

    Asked anew every `_ROUTE_SECONDS`: networks come up after us, and addresses change.
    """
    return _local_address(peer if ip_literal(peer) is not None else _ANYWHERE, int(time.monotonic() / _ROUTE_SECONDS))


@lru_cache(maxsize=1024)
def _local_address(peer: str, _period: int) -> str:
    literal = ip_literal(peer)
    family = socket.AF_INET6 if literal is not None and literal.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing: it only makes the kernel choose a source address.
            probe.connect((peer.strip("[]"), 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
