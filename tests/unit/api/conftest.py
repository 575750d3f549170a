"""The API behind a real HTTP server on loopback, with a real store and the fake media plane."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from dialroom.api.app import create_app
from dialroom.api.context import Services
from dialroom.api.limits import Visitors
from dialroom.api.room_socket.hub import RoomSockets
from dialroom.api.room_socket.messages import encode
from dialroom.api.turn import ice_servers
from dialroom.auth.guesses import Guesses
from dialroom.auth.idempotency import Idempotency
from dialroom.auth.keys import ApiKeys
from dialroom.auth.tokens import Tokens
from dialroom.calls.explainer import Explainer
from dialroom.calls.gatekeeper import Gatekeeper
from dialroom.config import load_config
from dialroom.core.bus import EventBus
from dialroom.core.clock import SystemClock
from dialroom.media.fake import FakeMediaPlane
from dialroom.rooms.directory import Rooms
from dialroom.rooms.meetings import Meetings, MeetingSettings
from dialroom.store.store import Store
from dialroom.webhooks.endpoints import Endpoints


@dataclass(frozen=True, slots=True)
class House:
    """A running API and its parts; ``api`` sends the first organisation's key."""

    api: httpx2.AsyncClient
    services: Services
    sockets: RoomSockets
    media: FakeMediaPlane
    store: Store
    organisation: str
    key: str
    url: str
    visitors: Visitors

    async def room(self, **fields: Any) -> dict[str, Any]:
        """A new room."""
        answer = await self.api.post("/api/rooms", json={"name": "Standup", **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def token(self, room: str, **fields: Any) -> str:
        """A join token for a room."""
        answer = await self.api.post(f"/api/rooms/{room}/tokens", json={"name": "Ada", **fields})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def socket(self, path: str = "/api/socket", **options: Any) -> connect:
        """A WebSocket to us, as a context manager."""
        return connect(f"ws://{self.url}{path}", **options)


class Guest:
    """A browser's end of the room socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self._id = 0

    async def request(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Sends a request and returns its answer; events on the way are kept."""
        self._id += 1
        await self.connection.send(encode({"type": type_, "id": self._id, **fields}))
        while True:
            message = await self._receive()
            if message.get("id") == self._id:
                return message
            self.events.append(message)

    async def event(self, type_: str) -> dict[str, Any]:
        """The next event of this type; others are dropped."""
        while True:
            message = self.events.pop(0) if self.events else await self._receive()
            if message["type"] == type_:
                return message

    async def _receive(self) -> dict[str, Any]:
        import json

        return dict(json.loads(await asyncio.wait_for(self.connection.recv(), 5)))


@pytest.fixture(autouse=True)
def tracebacks_without_locals() -> Iterator[None]:
    """As `set_up_logging` has it; rich's take seconds for the stack of a request."""
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, console])
    yield
    structlog.reset_defaults()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    bus, clock = EventBus(), SystemClock()
    config = load_config(
        environ={},
        data_dir=tmp_path,
        turn_servers=[{"urls": ["turn:turn.example.com:3478"], "secret": "shared with coturn"}],
        allowed_origins=["https://app.example.com"],
        webhook_allowed_networks=["127.0.0.0/8"],
        trusted_proxies=["127.0.0.1/32"],
        sockets_per_address=2,
        sockets_per_organisation=4,
        live_sockets_per_organisation=1,
    )
    store = await Store.open(config.database, tmp_path, bus)
    first = await store.first_start(clock)
    assert first is not None
    media = FakeMediaPlane()
    rooms = Rooms(store.rooms, clock)
    meetings = Meetings(rooms, store.meetings, clock, MeetingSettings(empty_grace=0.05))
    tokens = Tokens(store.organisations, clock)
    gatekeeper = Gatekeeper(store.gateways, config.sip_allowed_networks, config.sip_strangers)
    explainer = Explainer(gatekeeper, store.numbers, Guesses(store.guesses, clock))
    services = Services(
        config=config,
        clock=clock,
        bus=bus,
        keys=ApiKeys(store.keys, clock),
        tokens=tokens,
        rooms=rooms,
        meetings=meetings,
        meeting_store=store.meetings,
        numbers=store.numbers,
        gateways=store.gateways,
        calls=store.calls,
        webhooks=Endpoints(store.webhooks, clock, config.webhook_allowed_networks),
        outbox=store.webhooks,
        idempotency=Idempotency(store.idempotency, clock),
        media=media,
        explain=explainer.explain,
        ready=lambda: {"sip": True, "media": media.connected, "store": True},
    )
    sockets = RoomSockets(
        rooms=rooms,
        meetings=meetings,
        media=media,
        tokens=tokens,
        numbers=store.numbers,
        base_url=config.base_url,
        ice_servers=lambda participant: ice_servers(config.turn_servers, participant, clock.now()),
        per_organisation=config.sockets_per_organisation,
    )
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"127.0.0.1:{listening.getsockname()[1]}"
    app = create_app(services, sockets)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", proxy_headers=False))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    headers = {"Authorization": f"Bearer {first.api_key}"}
    async with httpx2.AsyncClient(base_url=f"http://{url}", headers=headers) as api:
        yield House(api, services, sockets, media, store, first.organisation.id, first.api_key, url, app.state.visitors)
    server.should_exit = True
    await serving
    await meetings.close()
    await store.close()
