"""A media plane for tests: no process, no sound, everything recorded.

It answers as the media process would, refuses what it would refuse, and lets the test play the phone:

    fake.press(leg, "1")
    fake.finish_playback(leg)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

from dialroom.media.listeners import Listeners
from dialroom.media.plane import EventHandler, LinkHandler, MediaLost, MediaPlane, MediaRefused, Unlisten
from dialroom.media.protocol import (
    Answer,
    BlockTrack,
    CloseBridge,
    CloseLeg,
    ClosePeer,
    Command,
    ConfigureLeg,
    DigitReceived,
    DigitsSent,
    Done,
    Event,
    GetMetrics,
    GetStatistics,
    Hello,
    JoinLeg,
    JoinPeer,
    LeaveLeg,
    LeavePeer,
    LegEnded,
    LegOpened,
    LegState,
    LegStatistics,
    Metrics,
    MuteLeg,
    OpenBridge,
    OpenLeg,
    OpenPeer,
    PeerConnected,
    PeerOpened,
    PeerState,
    Play,
    PlaybackEnded,
    PlayClip,
    PlayItem,
    PlayToBridge,
    PutClip,
    RestartPeer,
    SendDigits,
    SetLegGain,
    Snapshot,
    StartRecording,
    Statistics,
    StopPlayback,
    StopRecording,
    Subscribe,
)

FIRST_PORT = 20000
FAKE_ANSWER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

CommandT = TypeVar("CommandT", bound=Command)


class FakeMediaPlane(MediaPlane):
    """Records ``commands``; keeps ``legs``, ``peers``, ``bridges`` and ``clips`` as the media process would.

    With ``auto_finish`` every playback that does not loop ends by itself at the next turn of the event loop. With
    ``strict_clips`` a clip that was never put there is refused, as the media process does.
    """

    def __init__(self, *, auto_finish: bool = False, strict_clips: bool = False, address: str = "127.0.0.1") -> None:
        self.commands: list[Command] = []
        self.legs: dict[str, LegState] = {}
        self.peers: dict[str, PeerState] = {}
        self.bridges: dict[str, str] = {}
        self.clips: dict[str, bytes] = {}
        self.playing: dict[str, Play] = {}
        self.recordings: dict[str, StartRecording] = {}
        self.statistics = Statistics()
        self._auto_finish = auto_finish
        self._strict_clips = strict_clips
        self._address = address
        self._listeners = Listeners()
        self._connected = True
        self._last_event = 0
        self._refusals: list[tuple[type[Command], MediaRefused]] = []
        self._arrived = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether commands can be sent now; see `lose_link`."""
        return self._connected

    @property
    def last_event(self) -> int:
        """How many must-deliver events were raised."""
        return self._last_event

    @property
    def instance(self) -> str | None:
        """Always the same."""
        return "fake"

    async def connect(
        self, after_event: int | None = None, instance: str | None = None, *, hold_events: bool = False
    ) -> Snapshot:
        """The snapshot, at once; events are never held back."""
        return self.snapshot()

    def release_events(self) -> None:
        """Nothing is held back."""

    async def close(self) -> None:
        """Ends the link."""
        self._connected = False

    async def request(self, command: Command) -> Answer:
        """Records and answers. Raises `MediaRefused` as the media process would, `MediaLost` after `lose_link`."""
        if not self._connected:
            raise MediaLost("There is no link to the media process")
        self.commands.append(command)
        self._arrived.set()
        for index, (kind, refusal) in enumerate(self._refusals):
            if isinstance(command, kind):
                del self._refusals[index]
                raise refusal
        return self._answer(command)

    def listen(self, subject_id: str, handler: EventHandler) -> Unlisten:
        """Calls ``handler`` for each event of this subject."""
        return self._listeners.listen(subject_id, handler)

    def listen_all(self, handler: EventHandler) -> Unlisten:
        """Calls ``handler`` for each event."""
        return self._listeners.listen_all(handler)

    def listen_link(self, handler: LinkHandler) -> Unlisten:
        """Calls ``handler`` at `lose_link` and `regain_link`."""
        return self._listeners.listen_link(handler)

    # --- what the test does ------------------------------------------------------------------------------------

    def raise_event(self, event: Event) -> None:
        """Tells ``event`` to its listeners, now."""
        self._last_event += 1
        self._listeners.tell(event)

    def press(self, leg: str, digits: str, *, duration: int = 120) -> None:
        """The phone sends digits, one after the other."""
        for digit in digits:
            self.raise_event(DigitReceived(leg=leg, digit=digit, duration=duration))

    def finish_playback(self, leg: str) -> None:
        """What plays to the leg comes to its end. Raises `AssertionError` when nothing plays."""
        if leg not in self.playing:
            raise AssertionError(f"nothing plays to {leg}")
        self._end_playback(leg, "finished")

    def end_leg(self, leg: str, reason: str = "internal") -> None:
        """The media process gives the leg up."""
        self.legs.pop(leg, None)
        self.playing.pop(leg, None)
        self.raise_event(LegEnded(leg=leg, reason=reason))

    def connect_peer(self, peer: str) -> None:
        """The browser's ICE and DTLS get through."""
        self.peers[peer] = msgspec.structs.replace(self.peers[peer], connected=True)
        self.raise_event(PeerConnected(peer=peer))

    def refuse_next(self, kind: type[Command], code: str, message: str = "refused by the test") -> None:
        """The next command of this kind is refused."""
        self._refusals.append((kind, MediaRefused(code, message)))

    def lose_link(self) -> None:
        """Commands raise `MediaLost` from now on."""
        self._connected = False
        self._listeners.tell_link(None)

    def regain_link(self) -> None:
        """The link is back; legs and peers are as they were."""
        self._connected = True
        self._listeners.tell_link(self.snapshot())

    def sent(self, kind: type[CommandT]) -> list[CommandT]:
        """All recorded commands of a kind."""
        return [command for command in self.commands if isinstance(command, kind)]

    async def wait_for(
        self, kind: type[CommandT], where: Callable[[CommandT], bool] = lambda _: True, *, seconds: float = 5.0
    ) -> CommandT:
        """The first recorded command of a kind that fulfils ``where``, waiting up to ``seconds`` for it."""
        async with asyncio.timeout(seconds):
            while True:
                for command in self.sent(kind):
                    if where(command):
                        return command
                self._arrived.clear()
                await self._arrived.wait()

    def clips_playing(self, leg: str) -> list[str]:
        """The names of the clips in what plays to the leg now."""
        play = self.playing.get(leg)
        return [item.clip for item in play.items if isinstance(item, PlayClip)] if play else []

    def clips_played(self, leg: str) -> list[str]:
        """The names of all clips of all `Play` commands for the leg, in order."""
        plays = [play for play in self.sent(Play) if play.leg == leg]
        return [item.clip for play in plays for item in play.items if isinstance(item, PlayClip)]

    def snapshot(self) -> Snapshot:
        """What the media process would say it holds."""
        return Snapshot(
            version="fake",
            instance="fake",
            last_event=self._last_event,
            bridges=list(self.bridges),
            legs=list(self.legs.values()),
            peers=list(self.peers.values()),
            clips=list(self.clips),
        )

    # --- answers -----------------------------------------------------------------------------------------------

    def _answer(self, command: Command) -> Answer:
        match command:
            case Hello():
                return self.snapshot()
            case GetMetrics():
                return Metrics(values={"dialroom_media_legs": float(len(self.legs))})
            case OpenBridge(bridge=bridge, tag=tag):
                self.bridges.setdefault(bridge, tag)
            case CloseBridge(bridge=bridge):
                self._close_bridge(bridge)
            case PlayToBridge(bridge=bridge, items=items):
                self._need_bridge(bridge)
                self._need_clips(items)
            case PutClip(clip=clip, audio=audio):
                self.clips[clip] = audio
            case StopRecording(recording=recording):
                self.recordings.pop(recording, None)
            case OpenPeer() | RestartPeer() | JoinPeer() | LeavePeer() | Subscribe() | BlockTrack() | ClosePeer():
                return self._answer_for_peer(command)
            case _:
                return self._answer_for_leg(command)
        return Done()

    def _answer_for_leg(self, command: Command) -> Answer:
        match command:
            case OpenLeg():
                return self._open_leg(command)
            case ConfigureLeg(leg=leg, media=media):
                self._change_leg(leg, media=media)
            case JoinLeg(leg=leg, bridge=bridge, participant=participant, muted=muted):
                self._need_bridge(bridge)
                self._change_leg(leg, bridge=bridge, participant=participant, muted=muted)
            case LeaveLeg(leg=leg):
                self._change_leg(leg, bridge=None, participant=None)
            case MuteLeg(leg=leg, muted=muted):
                self._change_leg(leg, muted=muted)
            case SetLegGain(leg=leg, gain=gain):
                self._change_leg(leg, gain=gain)
            case Play():
                self._play(command)
            case StopPlayback(leg=leg):
                self._need_leg(leg)
                self._end_playback(leg, "stopped")
            case SendDigits(leg=leg):
                self._need_leg(leg)
                asyncio.get_running_loop().call_soon(self.raise_event, DigitsSent(leg=leg))
            case StartRecording(leg=leg, recording=recording):
                self._need_leg(leg)
                self.recordings[recording] = command
            case GetStatistics(leg=leg):
                self._need_leg(leg)
                return LegStatistics(statistics=self.statistics)
            case CloseLeg(leg=leg):
                self._need_leg(leg)
                self._end_playback(leg, "stopped")
                del self.legs[leg]
                return LegStatistics(statistics=self.statistics)
            case _:
                pass
        return Done()

    def _answer_for_peer(self, command: Command) -> Answer:
        match command:
            case OpenPeer(peer=peer, tag=tag):
                self.peers[peer] = PeerState(peer=peer, tag=tag, connected=False)
                return PeerOpened(answer=FAKE_ANSWER)
            case RestartPeer(peer=peer):
                self._need_peer(peer)
                return PeerOpened(answer=FAKE_ANSWER)
            case JoinPeer(peer=peer, bridge=bridge, participant=participant):
                self._need_bridge(bridge)
                state = msgspec.structs.replace(self._need_peer(peer), bridge=bridge, participant=participant)
                self.peers[peer] = state
            case LeavePeer(peer=peer):
                self.peers[peer] = msgspec.structs.replace(self._need_peer(peer), bridge=None, participant=None)
            case Subscribe(peer=peer) | BlockTrack(peer=peer):
                self._need_peer(peer)
            case ClosePeer(peer=peer):
                self.peers.pop(peer, None)
            case _:
                pass
        return Done()

    def _open_leg(self, command: OpenLeg) -> LegOpened:
        if command.leg not in self.legs:
            port = FIRST_PORT + 2 * len(self.sent(OpenLeg))
            self.legs[command.leg] = LegState(leg=command.leg, tag=command.tag, rtp_port=port)
        port = self.legs[command.leg].rtp_port
        return LegOpened(address=self._address, rtp_port=port, rtcp_port=port + 1)

    def _play(self, command: Play) -> None:
        self._need_leg(command.leg)
        self._need_clips(command.items)
        self._end_playback(command.leg, "replaced")
        self.playing[command.leg] = command
        self._change_leg(command.leg, playback=command.playback)
        if self._auto_finish and not command.loop:
            asyncio.get_running_loop().call_soon(self._finish_if_playing, command)

    def _finish_if_playing(self, command: Play) -> None:
        if self.playing.get(command.leg) is command:
            self._end_playback(command.leg, "finished")

    def _end_playback(self, leg: str, reason: Literal["finished", "stopped", "replaced"]) -> None:
        play = self.playing.pop(leg, None)
        if play is not None:
            self._change_leg(leg, playback=None)
            self.raise_event(PlaybackEnded(leg=leg, playback=play.playback, reason=reason))

    def _close_bridge(self, bridge: str) -> None:
        self.bridges.pop(bridge, None)
        for leg in [state for state in self.legs.values() if state.bridge == bridge]:
            self._change_leg(leg.leg, bridge=None, participant=None)
        for peer in [state for state in self.peers.values() if state.bridge == bridge]:
            self.peers[peer.peer] = msgspec.structs.replace(peer, bridge=None, participant=None)

    def _change_leg(self, leg: str, **changes: object) -> None:
        self.legs[leg] = msgspec.structs.replace(self._need_leg(leg), **changes)

    def _need_leg(self, leg: str) -> LegState:
        if leg not in self.legs:
            raise MediaRefused("unknown_leg", f"There is no leg {leg}")
        return self.legs[leg]

    def _need_peer(self, peer: str) -> PeerState:
        if peer not in self.peers:
            raise MediaRefused("unknown_peer", f"There is no peer {peer}")
        return self.peers[peer]

    def _need_bridge(self, bridge: str) -> None:
        if bridge not in self.bridges:
            raise MediaRefused("unknown_bridge", f"There is no bridge {bridge}")

    def _need_clips(self, items: list[PlayItem]) -> None:
        for item in items:
            if self._strict_clips and isinstance(item, PlayClip) and item.clip not in self.clips:
                raise MediaRefused("unknown_clip", f"There is no clip {item.clip}")
