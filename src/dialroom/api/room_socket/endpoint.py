"""The WebSocket endpoint ``/api/socket``."""

from __future__ import annotations

from typing import Any

import structlog
from starlette.websockets import WebSocket

from dialroom.api.limits import Visitors
from dialroom.api.room_socket import messages
from dialroom.api.room_socket.connection import BrowserConnection
from dialroom.api.room_socket.hub import RoomSockets
from dialroom.api.room_socket.socket import QueuedSocket, SocketOver, converse
from dialroom.core.clock import Clock
from dialroom.core.errors import DialroomError, Forbidden, Invalid, TokenRefused
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.names import clean_name
from dialroom.rooms.values import Participant

FIRST_MESSAGE_SECONDS = 5.0
TOKEN_REFUSED = 4001
_log = structlog.get_logger("dialroom.room_socket")


class RoomSocketEndpoint:
    """Serves one browser after another; each request is answered once."""

    def __init__(
        self,
        sockets: RoomSockets,
        meetings: Meetings,
        clock: Clock,
        allowed_origins: tuple[str, ...],
        visitors: Visitors,
    ) -> None:
        self._sockets = sockets
        self._meetings = meetings
        self._clock = clock
        self._allowed_origins = allowed_origins
        self._visitors = visitors

    async def serve(self, websocket: WebSocket) -> None:
        """The life of one socket."""
        await converse(websocket, self._clock, self._allowed_origins, self._visitors, self._talk)

    async def _talk(self, socket: QueuedSocket) -> None:
        connection: BrowserConnection | None = None
        try:
            connection = await self._let_in(socket)
            if connection is not None:
                await self._answer_all(connection, socket)
        except SocketOver:
            if connection is not None:
                await self._sockets.socket_lost(connection, socket)

    async def _let_in(self, socket: QueuedSocket) -> BrowserConnection | None:
        text = await socket.read(FIRST_MESSAGE_SECONDS)
        try:
            request = messages.parse(text)
            match request:
                case messages.Join():
                    name = None if request.name is None else clean_name(request.name)
                    seated = await self._sockets.join(request.token, name, socket)
                case messages.Resume():
                    seated = await self._sockets.resume(request.resume_token, socket)
                case _:
                    raise Invalid("The first message must be `join` or `resume`.")
        except DialroomError as error:
            socket.send(_error(messages.id_of(text), error))
            socket.close(TOKEN_REFUSED if isinstance(error, TokenRefused) else 4000)
            return None
        socket.send({"type": "ok", "id": request.id, **seated.fields})
        return seated.connection

    async def _answer_all(self, connection: BrowserConnection, socket: QueuedSocket) -> None:
        while True:
            text = await socket.read()
            try:
                request = messages.parse(text)
                fields = await self._answer(connection, request)
            except DialroomError as error:
                socket.send(_error(messages.id_of(text), error))
                continue
            except SocketOver:
                raise
            except Exception:
                _log.exception("room_socket.bug", participant=connection.participant_id)
                socket.send(_error(messages.id_of(text), DialroomError()))
                continue
            socket.send({"type": "ok", "id": request.id, **fields})
            if isinstance(request, messages.Leave):
                return

    async def _answer(self, connection: BrowserConnection, request: messages.AnyRequest) -> dict[str, Any]:
        match request:
            case messages.Ping():
                pass
            case messages.Offer():
                return {"sdp": await connection.offer(request)}
            case messages.SubscribeSlots():
                await connection.subscribe(request)
            case messages.Publish():
                await connection.publish(request)
            case messages.Rename(name=name):
                await self._meetings.rename(connection.participant_id, name)
            case messages.Hand(raised=raised):
                await self._meetings.set_hand(connection.participant_id, raised)
            case messages.Moderate():
                await self._moderate(connection, request)
            case messages.Leave():
                await self._sockets.leave(connection)
            case messages.Join() | messages.Resume():
                raise Invalid("You are in the room already.")
        return {}

    async def _moderate(self, connection: BrowserConnection, request: messages.Moderate) -> None:
        us = connection.participant
        if us.role != "host":
            raise Forbidden("Only a host may do this.", "Join with a host token.")
        match request.action:
            case "lock" | "unlock":
                await self._meetings.lock(us.room, request.action == "lock", us.id)
            case "mute_all":
                await self._meetings.mute_all(us.room, us.id)
            case "end":
                await self._meetings.end(us.room, us.id)
            case _:
                await self._moderate_one(us, request)

    async def _moderate_one(self, us: Participant, request: messages.Moderate) -> None:
        if request.participant is None:
            raise Invalid(f"`{request.action}` needs a `participant`.", field="participant")
        them = self._meetings.participant(request.participant)
        if them.session != us.session:
            raise Forbidden("The participant is not in your session.")
        match request.action:
            case "mute" | "unmute":
                await self._meetings.set_muted(them.id, request.action == "mute", us.id)
            case "remove":
                await self._meetings.remove(them.id, us.id)
            case "lower_hand":
                await self._meetings.set_hand(them.id, False, us.id)


def _error(id_: int | None, error: DialroomError) -> dict[str, Any]:
    return {
        "type": "error",
        "id": id_,
        "error": {"code": error.code, "title": error.title, "detail": error.detail, "fix": error.fix},
    }
