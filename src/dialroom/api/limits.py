"""What a request may cost before any route sees it.

FastAPI's own ``max_body_size`` answers in plain text; an error of ours is a problem, so this raises instead.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 256 * 1024


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
