"""A webhook receiver on loopback that answers as told and keeps what it got."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Received], Awaitable[bytes]]


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    """A whole HTTP/1.1 response."""
    lines = [f"HTTP/1.1 {code} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Receiver:
    """Answers each request with what `answer` returns; a 204 unless told otherwise."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Answer = self._no_content
        self.port = 0
        self._news = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def answer_with(self, *codes: int) -> None:
        """Answer with these in turn, with the last one from then on."""
        left = list(codes)

        async def answer(_request: Received) -> bytes:
            return status(left.pop(0) if len(left) > 1 else left[0])

        self.answer = answer

    async def wait_for(self, count: int) -> list[Received]:
        """Everything received, once it is at least `count`."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await self._read(reader)) is not None:
                self.received.append(request)
                async with self._news:
                    self._news.notify_all()
                writer.write(await self.answer(request))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Received | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Received(first.split(" ")[1], headers, body)

    async def _no_content(self, _request: Received) -> bytes:
        return status(204)


@asynccontextmanager
async def running_receiver() -> AsyncIterator[Receiver]:
    """A receiver, listening on loopback."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()
