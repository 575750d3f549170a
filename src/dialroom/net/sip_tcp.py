"""TCP under the SIP endpoint: streams in both directions, framed, bounded, closed when they misbehave."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter, deque
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import cast

from dialroom.sip.address import Address, ip_literal, unmapped
from dialroom.sip.errors import SipError
from dialroom.sip.framing import StreamFramer

Receiver = Callable[[bytes, Address], None]
ConnectionHook = Callable[[int], None]

MAX_CONNECTIONS = 4096
_MAX_PER_NETWORK = 1024
_MAX_STRANGERS = 512
_MAX_STRANGERS_PER_NETWORK = 64
_MAX_UNSENT = 1_000_000
"""Bytes waiting for a peer that does not read; beyond that its stream is closed."""
_CONNECT_TIMEOUT = 10.0
_STRANGER_TIMEOUT = 10.0
"""Seconds within which a stream must bring a request that is let in; pings and refused requests do not prolong it."""
_PARTIAL_TIMEOUT = 30.0
"""Seconds within which a message that has begun must be complete, however its bytes drip in."""
_IDLE_TIMEOUT = 3600.0
_LINGER = 5.0
"""Seconds a closed stream may take to read what was written to it."""
_MAX_QUEUED = 64
"""Messages that wait for a connection being opened."""


class Connection(asyncio.Protocol):
    """One stream. `known` tells a peer that was let in, or that we called, from a stranger."""

    def __init__(self, owner: TcpTransport, number: int, *, known: bool) -> None:
        self._owner = owner
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._partial = False
        self.known = known
        self.number = number
        self.peer = Address("tcp", "", 0, number)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the stream is open."""
        self._transport = stream = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername") or ("", 0)
        self.peer = Address("tcp", unmapped(str(name[0])), int(name[1]), self.number)
        self._watch(_IDLE_TIMEOUT if self.known else _STRANGER_TIMEOUT)
        if not self._owner.opened(self):
            stream.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes. A stream that cannot be framed any more is closed, never searched for the next message."""
        try:
            messages, pings = self._framer.receive(data)
        except SipError:
            self.close()
            return
        if pings:
            self.write(b"\r\n")
        for message in messages:
            self._owner.receive(message, self.peer)
        if self._framer.dead is not None:
            self.close()
            return
        if not self.known and messages:
            self.known = self._owner.let_in(self)
        if self.known:
            self._watch_message(completed=bool(messages))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the stream is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._owner.closed(self)

    def write(self, data: bytes) -> bool:
        """Send bytes; False when the stream is closing. A peer that does not read is cut off."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            self._transport.abort()
            return False
        return True

    def close(self) -> None:
        """Close the stream after what was written; a peer that does not read it does not keep the stream."""
        if self._transport is not None:
            self._transport.close()
            self._after(_LINGER, self.abort)

    def abort(self) -> None:
        """Close the stream at once."""
        if self._transport is not None:
            self._transport.abort()

    def _watch_message(self, *, completed: bool) -> None:
        """A message has a deadline from its first byte on; between messages it is the stream that has one."""
        began = self._framer.partial and (completed or not self._partial)
        self._partial = self._framer.partial
        if began:
            self._watch(_PARTIAL_TIMEOUT)
        elif not self._partial:
            self._watch(_IDLE_TIMEOUT)

    def _watch(self, seconds: float) -> None:
        self._after(seconds, self.close)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)


class TcpTransport:
    """A listening socket, the streams it took, and those we opened. `admitted` tells who was let in by then.

    Strangers have few places and only for seconds; when those are taken, the longest waiting makes room. So they can
    neither use up the places of those we know, nor keep a newcomer from showing that it is none.
    """

    def __init__(
        self,
        receive: Receiver,
        connected: ConnectionHook,
        disconnected: ConnectionHook,
        admitted: Callable[[int], bool],
    ) -> None:
        self.receive = receive
        self._connected = connected
        self._disconnected = disconnected
        self._admitted = admitted
        self._numbers = itertools.count(1)
        self._by_number: dict[int, Connection] = {}
        self._by_peer: dict[tuple[str, int], Connection] = {}
        self._strangers: dict[int, Connection] = {}
        self._per_network: Counter[str] = Counter()
        self._strangers_per_network: Counter[str] = Counter()
        self._opening: dict[tuple[str, int], deque[tuple[bytes, Callable[[], None]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        literal = ip_literal(host)
        if literal is None or literal.version == 4:
            self._server = await loop.create_server(lambda: self._make(known=False), host, port)
            return
        # As over UDP: asyncio by itself would keep IPv4 out.
        both = socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True)
        self._server = await loop.create_server(lambda: self._make(known=False), sock=both)

    def _make(self, *, known: bool) -> Connection:
        return Connection(self, next(self._numbers), known=known)

    def opened(self, connection: Connection) -> bool:
        """A stream is open; False when there are too many, in all or from its network."""
        host, network = connection.peer.host, _network(connection.peer.host)
        if len(self._by_number) >= MAX_CONNECTIONS or self._per_network[network] >= _MAX_PER_NETWORK:
            return False
        if not connection.known:
            if self._strangers_per_network[network] >= _MAX_STRANGERS_PER_NETWORK:
                return False
            if len(self._strangers) >= _MAX_STRANGERS:
                longest_waiting = next(iter(self._strangers.values()))
                self._no_stranger(longest_waiting)
                longest_waiting.abort()
            self._strangers[connection.number] = connection
            self._strangers_per_network[network] += 1
        self._by_number[connection.number] = connection
        self._by_peer[(host, connection.peer.port)] = connection
        self._per_network[network] += 1
        self._connected(connection.number)
        return True

    def let_in(self, connection: Connection) -> bool:
        """Whether a stranger is none any more."""
        if not self._admitted(connection.number):
            return False
        self._no_stranger(connection)
        return True

    def closed(self, connection: Connection) -> None:
        """A stream is gone."""
        if self._by_number.pop(connection.number, None) is None:
            return
        host = connection.peer.host
        if self._by_peer.get((host, connection.peer.port)) is connection:
            del self._by_peer[(host, connection.peer.port)]
        self._no_stranger(connection)
        _subtract(self._per_network, _network(host))
        self._disconnected(connection.number)

    def _no_stranger(self, connection: Connection) -> None:
        if self._strangers.pop(connection.number, None) is not None:
            _subtract(self._strangers_per_network, _network(connection.peer.host))

    def send(self, data: bytes, target: Address, failed: Callable[[], None]) -> None:
        """Send by the target's stream, else by one to its host and port, else by a new one."""
        connection = self._by_number.get(target.connection) if target.connection is not None else None
        connection = connection or self._by_peer.get((target.host, target.port))
        if connection is not None:
            if not connection.write(data):
                failed()
            return
        peer = (target.host, target.port)
        waiting = self._opening.get(peer)
        if waiting is None:
            self._opening[peer] = deque([(data, failed)])
            task = asyncio.ensure_future(self._open(peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(waiting) < _MAX_QUEUED:
            waiting.append((data, failed))
        else:
            failed()

    async def _open(self, peer: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        connection: Connection | None = None
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                _, connection = await loop.create_connection(lambda: self._make(known=True), *peer)
        except (OSError, TimeoutError):
            connection = None
        for data, failed in self._opening.pop(peer, ()):
            if connection is None or not connection.write(data):
                failed()

    async def close(self) -> None:
        """Stop listening and close every stream."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for connection in list(self._by_number.values()):
            connection.close()
        if self._server is not None:
            await self._server.wait_closed()


def _network(host: str) -> str:
    """What one peer's streams are counted by: its address, or for IPv6 the /64 that is anybody's at home."""
    literal = ip_literal(host)
    if not isinstance(literal, IPv6Address):
        return host
    return str(literal.ipv4_mapped or int(literal) >> 64)


def _subtract(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
