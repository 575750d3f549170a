"""A receiver of webhooks that believes only what `standardwebhooks` verifies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

from .waiting import wait_until


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery whose signature was right."""

    id: str
    type: str
    data: dict[str, Any]


class Receiver:
    """An HTTP server on loopback; use it as a context manager. Set ``secret`` before the first delivery."""

    def __init__(self) -> None:
        self.secret = ""
        self.received: list[Received] = []
        self.rejected: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def subscribe(self, server: Any, events: tuple[str, ...] = ("*",)) -> dict[str, Any]:
        """Makes a webhook of the server's that leads here; returns it."""
        made: dict[str, Any] = server.api("POST", "/webhooks", {"url": self.url, "events": list(events)})
        self.secret = made["secret"]
        return made

    def types(self, about: str | None = None) -> list[str]:
        """The types received so far, in their order; only those that mention this id, if one is given."""
        return [each.type for each in tuple(self.received) if about is None or about in str(each.data)]

    def wait_for(self, type_: str, good: Callable[[Received], object] = lambda _: True) -> Received:
        """The first delivery of this type that is good, now or within 30 s."""
        found: list[Received] = []

        def here() -> bool:
            found[:] = [each for each in tuple(self.received) if each.type == type_ and good(each)]
            return bool(found)

        wait_until(here, 30, lambda: f"no webhook {type_}; received: {self.types()}, rejected: {self.rejected}")
        return found[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver._take(body, {name.lower(): text for name, text in self.headers.items()}))
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Keeps quiet."""

        return Handler

    def _take(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            event = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            self.rejected.append(str(error))
            return 401
        self.received.append(Received(headers["webhook-id"], event["type"], event["data"]))
        return 204
