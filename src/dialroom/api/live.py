"""``/api/live``: events as they happen, over a WebSocket, for the organisation whose key opened it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import msgspec
from starlette.websockets import WebSocket

from dialroom.api.limits import Visitors
from dialroom.api.room_socket.socket import QueuedSocket, SocketOver, converse
from dialroom.auth.keys import ApiKeys
from dialroom.core.bus import EventBus
from dialroom.core.clock import Clock
from dialroom.core.errors import DialroomError, Invalid, StoreUnavailable, TooManyConnections, Unauthenticated
from dialroom.core.events import Event
from dialroom.core.limits import Places
from dialroom.webhooks.filters import check_filters, wants

FIRST_MESSAGE_SECONDS = 5.0
KEY_CHECK_SECONDS = 30.0
"""A revoked key hears nothing more after this long."""


class Subscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first message: who asks, and for which types or families (``call.*``); none: all."""

    key: str
    events: Annotated[list[str], msgspec.Meta(max_length=50)] = []


_decoder = msgspec.json.Decoder(Subscription)


class LiveEvents:
    """Serves the live event socket.

    The first message is ``{"key": "dr_…", "events": ["call.ended"]}``; a key may also come as ``Authorization: Bearer``
    header. Then each event comes as its webhook body with its ``id``. Nothing is kept for who is not there: that is
    what webhooks and ``/api/events`` are for.
    """

    def __init__(
        self,
        bus: EventBus,
        keys: ApiKeys,
        clock: Clock,
        allowed_origins: tuple[str, ...],
        visitors: Visitors,
        per_organisation: int,
    ) -> None:
        self._bus = bus
        self._keys = keys
        self._clock = clock
        self._allowed_origins = allowed_origins
        self._visitors = visitors
        self._open = Places(per_organisation)

    async def serve(self, websocket: WebSocket) -> None:
        """The life of one socket."""
        scheme, _, key = websocket.headers.get("authorization", "").partition(" ")
        talk = partial(self._talk, key if scheme.lower() == "bearer" else None)
        await converse(websocket, self._clock, self._allowed_origins, self._visitors, talk)

    async def _talk(self, header_key: str | None, socket: QueuedSocket) -> None:
        try:
            await self._stream(await self._subscription(socket, header_key), socket)
        except DialroomError as error:
            socket.send({"type": "error", "code": error.code, "detail": error.detail, "fix": error.fix})
            socket.close(4001)
        except SocketOver:
            return  # the other end is gone: there is nobody to tell

    async def _stream(self, subscription: Subscription, socket: QueuedSocket) -> None:
        organisation = (await self._keys.authenticate(subscription.key)).organisation
        wanted = check_filters(subscription.events or ["*"])

        def tell(event: Event) -> None:
            if wants(wanted, event.type):
                socket.send({"id": event.id, **event.body()})

        if not self._open.free(organisation):
            raise TooManyConnections("Your organisation has too many live sockets open.")
        self._open.take(organisation)
        unsubscribe = self._bus.subscribe(tell, organisation)
        checking = asyncio.create_task(self._keep_checking(subscription.key, socket))
        try:
            socket.send({"type": "ready"})
            while True:
                await socket.read(None)
        finally:
            unsubscribe()
            self._open.leave(organisation)
            checking.cancel()

    async def _keep_checking(self, key: str, socket: QueuedSocket) -> None:
        while True:
            await self._clock.sleep(KEY_CHECK_SECONDS)
            try:
                await self._keys.authenticate(key)
            except StoreUnavailable:
                continue
            except Unauthenticated:
                return socket.close(4001)

    async def _subscription(self, socket: QueuedSocket, header_key: str | None) -> Subscription:
        if header_key is not None:
            return Subscription(header_key)
        text = await socket.read(FIRST_MESSAGE_SECONDS)
        try:
            return _decoder.decode(text)
        except msgspec.MsgspecError as error:
            raise Invalid(f"The first message is not a subscription: {error}.", 'Send {"key": "dr_…"}.') from None
