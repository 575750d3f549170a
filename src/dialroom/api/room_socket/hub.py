"""All browsers in meetings: who holds which participant, and who may still come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from dialroom.api.room_socket.connection import BrowserConnection, Socket
from dialroom.api.room_socket.messages import participant_seen
from dialroom.api.wire.rooms import room_seen
from dialroom.auth.tokens import JoinClaims, Tokens
from dialroom.core.errors import NotFound, TooManyConnections
from dialroom.media.plane import MediaLost, MediaPlane, MediaRefused
from dialroom.media.protocol import ClosePeer, PeerState, Snapshot
from dialroom.rooms.directory import Rooms
from dialroom.rooms.live import Tasks
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.ports import NumberStore
from dialroom.rooms.values import Newcomer, Participant, Room

MOVE_LIFETIME = timedelta(minutes=2)
RESUME_LIFETIME = timedelta(days=7)
_log = structlog.get_logger("dialroom.room_socket")


@dataclass(frozen=True, slots=True)
class Seated:
    """A browser that is in: what `joined` tells it."""

    connection: BrowserConnection
    fields: dict[str, Any]


class RoomSockets:
    """Brings browsers into meetings, and back after a lost socket or a restart of this process."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        meetings: Meetings,
        media: MediaPlane,
        tokens: Tokens,
        numbers: NumberStore,
        base_url: str,
        ice_servers: Callable[[str], Sequence[dict[str, Any]]],
        per_organisation: int,
    ) -> None:
        self._rooms = rooms
        self._meetings = meetings
        self._media = media
        self._tokens = tokens
        self._numbers = numbers
        self._base_url = base_url
        self._ice_servers = ice_servers
        self._per_organisation = per_organisation
        self._connections: dict[str, BrowserConnection] = {}
        self._moved: dict[tuple[str, str], BrowserConnection] = {}
        self._tasks = Tasks()
        media.listen_link(self._on_link)

    def adopt(self, peers: Sequence[PeerState]) -> None:
        """These peers live in the media plane since before this process. Their browsers will resume or be lost; until
        then what happens to their participants happens to the peers."""
        latest = {peer.tag: peer.peer for peer in peers}
        for peer in peers:
            if peer.peer != latest[peer.tag] or not self._is_in(peer.tag):
                self._tasks.start(self._close_peer(peer.peer))
        for participant_id, name in latest.items():
            if self._is_in(participant_id):
                connection = self._new_connection()
                participant = self._meetings.stand_in(participant_id, connection)
                connection.seat(participant, partial(room_seen, numbers=(), base_url=self._base_url))
                connection.take_peer(name)
                self._connections[participant_id] = connection
                self._tasks.start(connection.put_right())

    async def join(self, token: str, name: str | None, socket: Socket) -> Seated:
        """Seats the bearer of a join token. Raises TokenRefused and what `Meetings.enter` raises."""
        claims = await self._tokens.verify_join(token)
        room = await self._rooms.read(claims.organisation, claims.room)
        self._check_crowd(claims.organisation)
        connection = self._moved.pop((room.id, claims.identity), None)
        if connection is not None and self._is_in(connection.participant_id):
            participant = self._meetings.attach(connection.participant_id, connection)
        else:
            connection = self._new_connection()
            participant = await self._meetings.enter(room, _newcomer(claims, name), connection)
        return await self._seat(connection, participant, socket, resumed=False)

    async def resume(self, resume_token: str, socket: Socket) -> Seated:
        """Gives a participant a socket again. Raises TokenRefused, or NotFound when it has left meanwhile."""
        participant_id = (await self._tokens.verify_resume(resume_token)).participant
        connection = self._connections.get(participant_id)
        if connection is None:
            connection = self._new_connection()
        elif connection.socket is not None:
            connection.socket.close(1000)
            connection.socket = None
        participant = self._meetings.attach(participant_id, connection)
        seated = await self._seat(connection, participant, socket, resumed=True)
        _log.info("participant.resumed", participant=participant_id, session=participant.session)
        return seated

    async def socket_lost(self, connection: BrowserConnection, socket: Socket) -> None:
        """The socket is gone without a leave: the participant may resume for a while."""
        if connection.socket is not socket:
            return
        connection.socket = None
        try:
            await self._meetings.set_connected(connection.participant_id, False)
        except NotFound:
            await connection.close()

    async def leave(self, connection: BrowserConnection) -> None:
        """The browser says goodbye."""
        connection.socket = None
        await self._meetings.leave(connection.participant_id, "left")
        await connection.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _check_crowd(self, organisation: str) -> None:
        there = sum(each.organisation == organisation for each in self._connections.values() if each.socket is not None)
        if there >= self._per_organisation:
            raise TooManyConnections("Too many people of this organisation are connected.")

    def _new_connection(self) -> BrowserConnection:
        return BrowserConnection(self._meetings, self._media, self._ended, self._moved_to)

    def _is_in(self, participant_id: str) -> bool:
        try:
            self._meetings.participant(participant_id)
        except NotFound:
            return False
        return True

    def _has_socket(self, participant_id: str) -> bool:
        connection = self._connections.get(participant_id)
        return connection is not None and connection.socket is not None

    async def _seat(
        self, connection: BrowserConnection, participant: Participant, socket: Socket, *, resumed: bool
    ) -> Seated:
        try:
            numbers = await self._numbers.list(participant.organisation)
            resume_token = await self._tokens.issue_resume(
                participant.organisation, participant.session, participant.id, RESUME_LIFETIME
            )
        except BaseException:
            # Without a socket it may try again for a while, then it is lost.
            if self._is_in(participant.id) and not self._has_socket(participant.id):
                await self._meetings.set_connected(participant.id, False)
            raise
        participant = self._meetings.participant(participant.id)  # it may have been removed meanwhile
        if resumed:  # an earlier try of the same browser may have got through, or come to nothing, meanwhile
            connection = self._connections.get(participant.id, connection)
            participant = self._meetings.attach(participant.id, connection)
        seen = partial(room_seen, numbers=numbers, base_url=self._base_url)
        connection.seat(participant, seen)
        connection.socket = socket
        self._connections[participant.id] = connection
        room = self._meetings.room_of(participant.session)
        fields = {
            "participant": participant_seen(participant),
            "session": participant.session,
            "room": seen(room),
            "participants": [participant_seen(each) for each in self._meetings.participants(participant.session)],
            "resume_token": resume_token,
            "ice_servers": list(self._ice_servers(participant.id)),
            "resumed": resumed and connection.peer is not None,
        }
        return Seated(connection, fields)

    def _ended(self, connection: BrowserConnection) -> None:
        if self._connections.get(connection.participant_id) is connection:
            del self._connections[connection.participant_id]
        if self._moved:
            self._moved = {key: each for key, each in self._moved.items() if each is not connection}

    async def _moved_to(self, connection: BrowserConnection, room: Room) -> str:
        participant = connection.participant
        self._moved[(room.id, participant.identity)] = connection
        self._connections[participant.id] = connection
        token, _ = await self._tokens.issue_join(
            participant.organisation,
            room.id,
            identity=participant.identity,
            name=participant.name,
            role=participant.role,
            ttl=MOVE_LIFETIME,
        )
        return token

    def _on_link(self, snapshot: Snapshot | None) -> None:
        """After a lost link: a media process that does not know a browser's peer any more has lost its sound. One that
        does may have missed who was muted or went away meanwhile."""
        if snapshot is None:
            return
        known = {peer.peer for peer in snapshot.peers}
        for connection in tuple(self._connections.values()):
            if connection.peer is not None and connection.peer not in known:
                connection.media_lost("the media process was restarted")
            elif connection.peer is not None:
                known.discard(connection.peer)
                self._tasks.start(connection.put_right())
        for peer in known:
            self._tasks.start(self._close_peer(peer))

    async def _close_peer(self, peer: str) -> None:
        try:
            await self._media.perform(ClosePeer(peer=peer))
        except (MediaRefused, MediaLost) as error:
            _log.warning("peer.orphan_not_closed", peer=peer, error=str(error))


def _newcomer(claims: JoinClaims, name: str | None) -> Newcomer:
    return Newcomer(kind="web", name=name or claims.name, identity=claims.identity, role=claims.role)
