"""What a request may cost before any route sees it, and how much one visitor may ask for.

FastAPI's own ``max_body_size`` answers in plain text; an error of ours is a problem, so this raises instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialroom.core.clock import Clock
from dialroom.core.errors import TooManyAttempts, TooManyConnections
from dialroom.core.limits import Buckets, Places, crowd_name

MAX_BODY_BYTES = 256 * 1024
TOKENS_PER_SECOND = 5.0
TOKENS_AT_ONCE = 300
_log = structlog.get_logger("dialroom.api")


class LimitBody:
    """ASGI middleware: reading a body of more than `MAX_BODY_BYTES` ends in 413, whatever Content-Length said."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, f"The body has more than {MAX_BODY_BYTES} bytes.", {"Connection": "close"})
            return message

        await self._app(scope, receive_bounded, send)


class Visitors:
    """Limits by the address of who has no key: sockets at once, page tokens in a time. Loopback has none."""

    def __init__(self, clock: Clock, sockets: int) -> None:
        self._sockets = Places(sockets)
        self._tokens = Buckets(clock, TOKENS_PER_SECOND, TOKENS_AT_ONCE)

    @contextmanager
    def socket(self, connection: HTTPConnection) -> Iterator[None]:
        """One more socket of this visitor while the block lasts. Raises TooManyConnections."""
        visitor = _visitor(connection)
        if visitor is None:
            yield
            return
        if not self._sockets.free(visitor):
            _log.warning("visitor.too_many_sockets", address=visitor, hint="if this is a proxy, set trusted_proxies")
            raise TooManyConnections("Too many sockets from your address are open.")
        self._sockets.take(visitor)
        try:
            yield
        finally:
            self._sockets.leave(visitor)

    def ask_token(self, connection: HTTPConnection) -> None:
        """One more page token for this visitor. Raises TooManyAttempts."""
        visitor = _visitor(connection)
        if visitor is None:
            return
        bucket = self._tokens.of(visitor)
        if not bucket.allow():
            raise TooManyAttempts("Too many tokens were asked for from your address.", retry_after=bucket.wait)


def _visitor(connection: HTTPConnection) -> str | None:
    return crowd_name(connection.client.host) if connection.client else None
