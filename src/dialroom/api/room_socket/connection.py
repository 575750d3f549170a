"""One browser in a meeting: its participant, its media peer and, while it is connected, its socket.

The participant outlives the socket (a lost socket is resumed) and the process (the media plane keeps the peer, its tag
names the participant).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from dialroom.api.room_socket import messages
from dialroom.core.errors import Invalid, MediaUnavailable, NotFound
from dialroom.core.ids import new_id
from dialroom.media.plane import MediaLost, MediaPlane, MediaRefused
from dialroom.media.protocol import (
    BlockTrack,
    ClosePeer,
    Event,
    JoinPeer,
    OpenBridge,
    OpenPeer,
    PeerEnded,
    SlotsChanged,
    SpeakersChanged,
    Subscribe,
)
from dialroom.rooms.happenings import (
    MeetingEvent,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    RoomUpdated,
)
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import Participant, Room, Tracks

_log = structlog.get_logger("dialroom.room_socket")


RoomSeen = Callable[[Room], dict[str, Any]]


class OfferRefused(Invalid):
    """The browser's SDP offer cannot be answered."""

    code = "offer_refused"
    title = "The media offer cannot be used"
    status = 422


class Socket(Protocol):
    """Where messages to the browser go. Never blocks; a browser that does not read is closed."""

    def send(self, message: dict[str, Any]) -> None: ...

    def close(self, code: int) -> None: ...


class BrowserConnection:
    """Implements `dialroom.rooms.meetings.Connection`. ``on_ended`` (a stay is over) and ``on_moved`` (the next begins;
    gives the token for the other room) tell the owner."""

    def __init__(
        self,
        meetings: Meetings,
        media: MediaPlane,
        on_ended: Callable[[BrowserConnection], None],
        on_moved: Callable[[BrowserConnection, Room], Awaitable[str]],
    ) -> None:
        self._meetings = meetings
        self._media = media
        self._on_ended = on_ended
        self._on_moved = on_moved
        self._participant_id: str | None = None
        self.organisation: str | None = None
        self._room_seen: RoomSeen = _not_seated
        self.peer: str | None = None
        self.socket: Socket | None = None
        self._unlisten: list[Callable[[], None]] = []
        self._unlisten_peer: Callable[[], None] | None = None

    @property
    def participant(self) -> Participant:
        """Ours, as it is now. Raises NotFound when it has left."""
        return self._meetings.participant(self.participant_id)

    @property
    def participant_id(self) -> str:
        """Ours; known from `seat` on."""
        if self._participant_id is None:
            raise RuntimeError("a browser that is not seated has no participant")
        return self._participant_id

    def seat(self, participant: Participant, room_seen: RoomSeen) -> None:
        """We are this participant; hear what happens in its session. ``room_seen`` renders a room for the browser."""
        self._stop_listening()
        self._participant_id = participant.id
        self.organisation = participant.organisation
        self._room_seen = room_seen
        self._unlisten = [
            self._meetings.watch(participant.session, self._on_meeting),
            self._media.listen(participant.session, self._on_bridge),
        ]

    def take_peer(self, peer: str) -> None:
        """The media plane has this peer for us already, from before a restart of this process."""
        self.peer = peer
        self._unlisten_peer = self._media.listen(peer, self._on_peer)

    # --- what the browser asks ---------------------------------------------------------------------------------------

    async def offer(self, request: messages.Offer) -> str:
        """Answers the browser's SDP offer. Raises OfferRefused, MediaUnavailable."""
        try:
            if request.restart and self.peer is not None:
                return await self._media.restart_peer(self.peer, request.sdp)
            await self.close_peer()
            participant = self.participant
            peer = new_id("peer")
            self.take_peer(peer)
            answer = await self._media.open_peer(
                OpenPeer(
                    peer=peer,
                    tag=participant.id,
                    offer=request.sdp,
                    publish=request.publish,
                    audio_slots=request.audio_slots,
                    video_slots=request.video_slots,
                )
            )
            await self._join_bridge(participant)
            return answer
        except MediaRefused as error:
            _log.info("peer.refused", participant=self.participant_id, code=error.code)
            if error.code == "unknown_peer":
                self._forget_peer()
            raise OfferRefused(error.message, "Reload the page; if that does not help, try another browser.") from error
        except MediaLost as error:
            raise MediaUnavailable from error

    async def subscribe(self, request: messages.SubscribeSlots) -> None:
        """Fills video slots. Raises OfferRefused, MediaUnavailable."""
        if self.peer is None:
            raise OfferRefused("There is no media connection yet.", "Send an `offer` first.")
        try:
            await self._media.perform(Subscribe(peer=self.peer, slots=request.slots))
        except MediaRefused as error:
            raise OfferRefused(error.message) from error
        except MediaLost as error:
            raise MediaUnavailable from error

    async def put_right(self) -> None:
        """The media plane may have missed whether we are muted, or that we went away."""
        try:
            muted = self.participant.muted
        except NotFound:
            await self.close_peer()
        else:
            await self._block_microphone(muted)

    async def publish(self, request: messages.Publish) -> None:
        """What the browser sends now. Turning the microphone on lifts a moderator's mute."""
        tracks = Tracks(microphone=request.microphone, camera=request.camera, screen=request.screen)
        before = self.participant
        if before.muted and request.microphone and not before.tracks.microphone:
            await self._meetings.set_muted(before.id, False, "self")
            await self._block_microphone(False)
        await self._meetings.set_tracks(before.id, tracks)

    async def close_peer(self) -> None:
        """Ends the media connection, if there is one."""
        peer = self.peer
        if peer is None:
            return
        self._forget_peer()
        try:
            await self._media.perform(ClosePeer(peer=peer))
        except MediaRefused as error:
            _log.info("peer.close_refused", peer=peer, code=error.code)
        except MediaLost:
            _log.warning("peer.close_lost", peer=peer)

    async def close(self) -> None:
        """We are out of the meeting, for whatever reason."""
        self._stop_listening()
        await self.close_peer()
        self._end_stay()

    # --- what the meeting tells --------------------------------------------------------------------------------------

    async def muted(self, muted: bool, by: str) -> None:
        """A moderator muted or unmuted us."""
        await self._block_microphone(muted)

    async def hand_lowered(self) -> None:
        """The roster update that everybody gets says so already."""

    async def removed(self, reason: str) -> None:
        """The stay is over."""
        self._send({"type": "ended", "reason": reason if reason in ("removed", "replaced") else "ended"})
        self._close_socket(4000)
        await self.close()

    async def moved(self, participant: Participant, room: Room) -> None:
        """The stay goes on in another room: the browser joins that with a token for the same identity."""
        self._stop_listening()
        await self.close_peer()
        self._end_stay()
        self._participant_id = participant.id
        # Who never comes there must not keep the seat for ever.
        await self._meetings.set_connected(participant.id, False)
        token = await self._on_moved(self, room)
        self._send({"type": "moved", "room": self._room_seen(room), "token": token})
        self._send({"type": "ended", "reason": "moved"})
        self._close_socket(4000)

    def _on_meeting(self, event: MeetingEvent) -> None:
        match event:
            case ParticipantJoined(participant):
                self._send({"type": "participant.joined", "participant": messages.participant_seen(participant)})
            case ParticipantUpdated(participant):
                self._send({"type": "participant.updated", "participant": messages.participant_seen(participant)})
            case ParticipantLeft(participant, reason):
                if participant.id != self._participant_id:
                    self._send({"type": "participant.left", "participant": participant.id, "reason": reason})
            case RoomUpdated(room):
                self._send({"type": "room.updated", "room": self._room_seen(room)})

    # --- what the media plane tells ----------------------------------------------------------------------------------

    def _on_bridge(self, event: Event) -> None:
        if isinstance(event, SpeakersChanged):
            speakers = [{"participant": each.participant, "level": each.level} for each in event.speakers]
            self._send({"type": "speakers", "speakers": speakers})

    def _on_peer(self, event: Event) -> None:
        if isinstance(event, SlotsChanged):
            slots = [{"mid": s.mid, "participant": s.participant, "source": s.source} for s in event.slots]
            self._send({"type": "slots", "slots": slots})
        elif isinstance(event, PeerEnded):
            self.media_lost(event.reason)

    def media_lost(self, reason: str) -> None:
        """The media plane has no peer for us any more; the browser is to send a new offer."""
        _log.warning("peer.lost", participant=self._participant_id, reason=reason)
        self._forget_peer()
        self._send({"type": "media.lost"})

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _join_bridge(self, participant: Participant) -> None:
        peer = self.peer
        if peer is None:
            return
        await self._media.perform(OpenBridge(bridge=participant.session))
        await self._media.perform(JoinPeer(peer=peer, bridge=participant.session, participant=participant.id))
        if participant.muted:
            await self._block_microphone(True)

    async def _block_microphone(self, blocked: bool) -> None:
        if self.peer is None:
            return
        try:
            await self._media.perform(BlockTrack(peer=self.peer, source="microphone", blocked=blocked))
        except (MediaRefused, MediaLost) as error:
            _log.error("peer.block_failed", peer=self.peer, blocked=blocked, error=str(error))

    def _forget_peer(self) -> None:
        self.peer = None
        if self._unlisten_peer is not None:
            self._unlisten_peer()
            self._unlisten_peer = None

    def _end_stay(self) -> None:
        if self._participant_id is not None:
            self._on_ended(self)

    def _stop_listening(self) -> None:
        for unlisten in self._unlisten:
            unlisten()
        self._unlisten = []

    def _send(self, message: dict[str, Any]) -> None:
        if self.socket is not None:
            self.socket.send(message)

    def _close_socket(self, code: int) -> None:
        if self.socket is not None:
            self.socket.close(code)
            self.socket = None


def _not_seated(_: Room) -> dict[str, Any]:
    raise RuntimeError("a browser that is not seated sees no room")
