"""A WebSocket that never makes its sender wait, and that takes no flood."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from dialroom.api.limits import Visitors
from dialroom.api.problem import error_response
from dialroom.api.room_socket.messages import MAX_MESSAGE_BYTES, encode
from dialroom.core.clock import Clock
from dialroom.core.errors import TooManyConnections

MAX_UNSENT = 512
SILENCE_SECONDS = 45.0
REQUESTS_PER_SECOND = 40.0
REQUESTS_AT_ONCE = 200.0
SILENT = 1001
BUG = 1011
TOO_SLOW = 4008
FOREIGN_ORIGIN = 4003


class SocketOver(Exception):  # noqa: N818 - named for what happened
    """The socket is closed, silent or flooding."""


class QueuedSocket:
    """Messages leave in order through a bounded queue; a browser that does not read is closed with 4008."""

    def __init__(self, socket: WebSocket, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock
        self._unsent: asyncio.Queue[dict[str, Any] | int] = asyncio.Queue(MAX_UNSENT)
        self._tokens = REQUESTS_AT_ONCE
        self._filled_at = clock.monotonic()

    def send(self, message: dict[str, Any]) -> None:
        """Queues a message."""
        try:
            self._unsent.put_nowait(message)
        except asyncio.QueueFull:
            self.close(TOO_SLOW)

    def close(self, code: int) -> None:
        """Closes after what is queued; at once if the queue is full."""
        if self._unsent.full():
            while not self._unsent.empty():
                self._unsent.get_nowait()
        self._unsent.put_nowait(code)

    async def write(self) -> None:
        """Sends what is queued until the socket is closed from either side. Run it as a task."""
        while True:
            item = await self._unsent.get()
            try:
                if isinstance(item, int):
                    if self._socket.application_state is WebSocketState.CONNECTED:
                        await self._socket.close(item)
                    return
                await self._socket.send_text(encode(item))
            except (WebSocketDisconnect, RuntimeError):
                return  # the reader sees the same and cleans up

    async def read(self, within: float | None = SILENCE_SECONDS) -> str:
        """The next message, however long it takes if ``within`` is None. Raises SocketOver when there will be none, or
        when there are too many."""
        try:
            text = await asyncio.wait_for(self._socket.receive_text(), within)
        except TimeoutError:
            self.close(SILENT)  # whose machine slept is to come back
            raise SocketOver from None
        except (WebSocketDisconnect, RuntimeError, KeyError):
            raise SocketOver from None
        self._refill()
        if len(text) > MAX_MESSAGE_BYTES or self._tokens < 1:
            self.close(TOO_SLOW)
            raise SocketOver
        self._tokens -= 1
        return text

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._tokens = min(REQUESTS_AT_ONCE, self._tokens + (now - self._filled_at) * REQUESTS_PER_SECOND)
        self._filled_at = now


def origin_allowed(socket: WebSocket, allowed: tuple[str, ...]) -> bool:
    """Whether a page of this origin may open the socket: none given (no browser), our own, or a configured one."""
    origin = socket.headers.get("origin")
    return origin is None or origin in allowed or origin.partition("://")[2] == socket.headers.get("host")


async def converse(
    websocket: WebSocket,
    clock: Clock,
    allowed: tuple[str, ...],
    visitors: Visitors,
    talk: Callable[[QueuedSocket], Awaitable[None]],
) -> None:
    """The life of one socket: accepted unless a foreign page opened it or its address has too many; then ``talk``;
    closed when that returns."""
    if not origin_allowed(websocket, allowed):
        await websocket.close(FOREIGN_ORIGIN)
        return
    try:
        with visitors.socket(websocket):
            await _converse(websocket, clock, talk)
    except TooManyConnections as error:
        await websocket.send_denial_response(error_response(error))


async def _converse(websocket: WebSocket, clock: Clock, talk: Callable[[QueuedSocket], Awaitable[None]]) -> None:
    await websocket.accept()
    socket = QueuedSocket(websocket, clock)
    writing = asyncio.get_running_loop().create_task(socket.write())
    code = BUG
    try:
        await talk(socket)
        code = 1000
    finally:
        socket.close(code)
        await writing
