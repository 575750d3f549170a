"""What the control plane says to the media plane and hears from it.

Every value crosses the link as a MessagePack map, tagged by ``type``, in frames of a 32-bit big-endian length and
that many bytes (at most `MAX_FRAME_BYTES`). The same values exist in ``rust/protocol``; the golden files in
``tests/data/media_protocol`` are read by both test suites and keep the two together.

Ids (bridge, leg, peer, playback, participant) are chosen by the control plane, so that a command repeated after a
lost answer means the same thing again. ``tag`` is opaque to the media plane: it keeps it and gives it back in
`Snapshot`, which is how a restarted control plane recognises what it finds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 32 * 1024 * 1024

CodecName = Literal["PCMU", "PCMA", "G722", "opus"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
TrackSource = Literal["microphone", "camera", "screen"]


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Base of the untagged values."""


class Tagged(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of commands, answers and events."""


# --- shared values -----------------------------------------------------------------------------------------------


class OpusParameters(Value, frozen=True, kw_only=True):
    """What the peer's Opus decoder asks of our encoder, as RFC 7587 §6.1 names it and with its defaults:
    ``maxaveragebitrate`` in bits per second (6,000 to 510,000), ``maxplaybackrate`` in Hz (8,000 to 48,000)."""

    maxaveragebitrate: int = 510_000
    maxplaybackrate: int = 48_000
    cbr: bool = False
    useinbandfec: bool = False
    usedtx: bool = False


class Codec(Value, frozen=True, kw_only=True):
    """The negotiated audio codec of a leg. ``ptime`` is what we send, in ms (10 to 60)."""

    name: CodecName
    payload_type: int
    ptime: int = 20
    opus: OpusParameters | None = None


class TelephoneEvent(Value, frozen=True, kw_only=True):
    """RFC 4733 as negotiated; ``clock_rate`` in Hz."""

    payload_type: int
    clock_rate: int = 8000


class LegMedia(Value, frozen=True, kw_only=True):
    """Where a phone leg's media goes and in which shape, as RFC 3264 settled it. ``direction`` is ours."""

    remote_address: str
    remote_rtp_port: int
    remote_rtcp_port: int
    rtcp_mux: bool = False
    codec: Codec
    telephone_event: TelephoneEvent | None = None
    comfort_noise_payload_type: int | None = None
    direction: Direction = "sendrecv"


class Statistics(Value, frozen=True, kw_only=True):
    """One leg's quality so far. Loss as fractions 0..1, jitter and round trip in ms, MOS 1.0 to 4.5 (E-model)."""

    packets_received: int = 0
    packets_sent: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    packets_rejected: int = 0
    loss: float = 0.0
    jitter: float = 0.0
    remote_loss: float | None = None
    remote_jitter: float | None = None
    round_trip: float | None = None
    mos: float | None = None


class PlayClip(Tagged, frozen=True, kw_only=True, tag="clip"):
    """A prompt put there before by `PutClip`."""

    clip: str


class PlaySilence(Tagged, frozen=True, kw_only=True, tag="silence"):
    """Silence of ``duration`` ms."""

    duration: int


class PlayTone(Tagged, frozen=True, kw_only=True, tag="tone"):
    """A sine of ``frequency`` Hz for ``duration`` ms at ``level`` dBov (negative)."""

    frequency: float
    duration: int
    level: float = -20.0


PlayItem = PlayClip | PlaySilence | PlayTone


class Slot(Value, frozen=True, kw_only=True):
    """A browser's receive slot (``mid`` of its m-line) and whose track fills it; empty without participant."""

    mid: str
    participant: str | None = None
    source: TrackSource | None = None


class Publication(Value, frozen=True, kw_only=True):
    """The m-line on which a browser sends one of its tracks."""

    mid: str
    source: TrackSource


class Speaker(Value, frozen=True, kw_only=True):
    """A participant that is heard now. ``level`` in dBov, -127 to 0."""

    participant: str
    level: int


class LegState(Value, frozen=True, kw_only=True):
    """A leg as the media plane holds it."""

    leg: str
    tag: str
    rtp_port: int
    bridge: str | None = None
    participant: str | None = None
    muted: bool = False
    gain: float = 0.0
    media: LegMedia | None = None
    playback: str | None = None


class PeerState(Value, frozen=True, kw_only=True):
    """A browser peer as the media plane holds it."""

    peer: str
    tag: str
    connected: bool
    bridge: str | None = None
    participant: str | None = None


# --- commands ----------------------------------------------------------------------------------------------------


class GetChallenge(Tagged, frozen=True, kw_only=True, tag="challenge"):
    """Asks what is to be proved on this link, if it is one by TCP; answered by `Challenge`."""


class Hello(Tagged, frozen=True, kw_only=True, tag="hello"):
    """First command on a link but for `GetChallenge`; answered by `Snapshot`. Must-deliver events after ``after_event``
    are told again; it counts only if ``instance`` is the media process that numbered them (another one tells all it has
    kept). Without ``after_event`` nothing is told again. ``proof`` is asked for on a link by TCP: the HMAC-SHA256, in
    hexadecimal, of "dialroom control link" and the challenge, under the secret."""

    protocol: int = PROTOCOL_VERSION
    after_event: int | None = None
    instance: str | None = None
    proof: str | None = None


class Ping(Tagged, frozen=True, kw_only=True, tag="ping"):
    """Answered by `Done`."""


class OpenBridge(Tagged, frozen=True, kw_only=True, tag="bridge.open"):
    """The media of one session. Opening an open bridge changes nothing."""

    bridge: str
    tag: str = ""


class CloseBridge(Tagged, frozen=True, kw_only=True, tag="bridge.close"):
    """Legs and peers in it stay open, in no bridge."""

    bridge: str


class PlayToBridge(Tagged, frozen=True, kw_only=True, tag="bridge.play"):
    """Everybody in the bridge hears it over the mix, browsers too; but not ``except_participant``."""

    bridge: str
    items: list[PlayItem]
    except_participant: str | None = None


class OpenLeg(Tagged, frozen=True, kw_only=True, tag="leg.open"):
    """Reserves the local port of a phone leg; answered by `LegOpened`. ``remote_address``/``remote_rtp_port`` as
    announced, if known: they let legs share ports. ``signalling_address``: the host that the phone's signalling comes
    from; media from there is believed at once, because a phone behind a NAT announces an address nobody can use."""

    leg: str
    tag: str = ""
    remote_address: str | None = None
    remote_rtp_port: int | None = None
    signalling_address: str | None = None


class ConfigureLeg(Tagged, frozen=True, kw_only=True, tag="leg.configure"):
    """Sets or changes (re-INVITE) a leg's media. Latching starts anew only when the remote address or port changed."""

    leg: str
    media: LegMedia


class JoinLeg(Tagged, frozen=True, kw_only=True, tag="leg.join"):
    """Puts a leg into a bridge, leaving the one it was in."""

    leg: str
    bridge: str
    participant: str
    muted: bool = False


class LeaveLeg(Tagged, frozen=True, kw_only=True, tag="leg.leave"):
    """Takes a leg out of its bridge; it stays open and can be played to."""

    leg: str


class MuteLeg(Tagged, frozen=True, kw_only=True, tag="leg.mute"):
    """A muted leg is not mixed; its digits still count."""

    leg: str
    muted: bool


class SetLegGain(Tagged, frozen=True, kw_only=True, tag="leg.gain"):
    """How loud the caller hears the room, in dB (-20 to +20)."""

    leg: str
    gain: float


class Play(Tagged, frozen=True, kw_only=True, tag="leg.play"):
    """Plays to one leg, replacing what plays; in a bridge the room goes on, quieter. Ends with `PlaybackEnded`."""

    leg: str
    playback: str
    items: list[PlayItem]
    loop: bool = False


class StopPlayback(Tagged, frozen=True, kw_only=True, tag="leg.stop"):
    """Stops what plays to a leg; nothing playing is no error."""

    leg: str


class SendDigits(Tagged, frozen=True, kw_only=True, tag="leg.digits"):
    """Sends RFC 4733 events; ``digits`` of 0-9*#A-D, ``,`` pauses 500 ms. ``duration`` and ``gap`` in ms."""

    leg: str
    digits: str
    duration: int = 120
    gap: int = 80


class StartRecording(Tagged, frozen=True, kw_only=True, tag="recording.start"):
    """Records a leg into a WAV file on the media plane's machine: ``heard`` is what comes from the phone, ``told`` is
    what we send to it."""

    recording: str
    leg: str
    path: str
    direction: Literal["heard", "told"] = "heard"


class StopRecording(Tagged, frozen=True, kw_only=True, tag="recording.stop"):
    """Answered when the file is complete."""

    recording: str


class GetStatistics(Tagged, frozen=True, kw_only=True, tag="leg.statistics"):
    """Answered by `LegStatistics`."""

    leg: str


class CloseLeg(Tagged, frozen=True, kw_only=True, tag="leg.close"):
    """Answered by `LegStatistics`, the last ones."""

    leg: str


class PutClip(Tagged, frozen=True, kw_only=True, tag="clip.put"):
    """Keeps a prompt: WAV, mono, PCM16 or µ-law, 8, 16 or 48 kHz. The name says the content (it carries a hash)."""

    clip: str
    audio: bytes


class OpenPeer(Tagged, frozen=True, kw_only=True, tag="peer.open"):
    """A browser's SDP offer; answered by `PeerOpened`. Slots are the mids of its receive-only m-lines."""

    peer: str
    tag: str = ""
    offer: str
    publish: list[Publication]
    audio_slots: list[str]
    video_slots: list[str]


class RestartPeer(Tagged, frozen=True, kw_only=True, tag="peer.restart"):
    """ICE restart after a lost connection; answered by `PeerOpened`."""

    peer: str
    offer: str


class JoinPeer(Tagged, frozen=True, kw_only=True, tag="peer.join"):
    """Puts a peer into a bridge, leaving the one it was in."""

    peer: str
    bridge: str
    participant: str


class LeavePeer(Tagged, frozen=True, kw_only=True, tag="peer.leave"):
    """Takes a peer out of its bridge; the connection stays."""

    peer: str


class Subscribe(Tagged, frozen=True, kw_only=True, tag="peer.subscribe"):
    """Fills a peer's video slots; slots not named stay as they are."""

    peer: str
    slots: list[Slot]


class BlockTrack(Tagged, frozen=True, kw_only=True, tag="peer.block"):
    """Nothing of a blocked track is forwarded or mixed, whatever the browser sends (moderator mute)."""

    peer: str
    source: TrackSource
    blocked: bool


class ClosePeer(Tagged, frozen=True, kw_only=True, tag="peer.close"):
    """Closing what is closed is no error."""

    peer: str


class GetMetrics(Tagged, frozen=True, kw_only=True, tag="metrics"):
    """Answered by `Metrics`."""


Command = (
    Hello
    | GetChallenge
    | Ping
    | OpenBridge
    | CloseBridge
    | PlayToBridge
    | OpenLeg
    | ConfigureLeg
    | JoinLeg
    | LeaveLeg
    | MuteLeg
    | SetLegGain
    | Play
    | StopPlayback
    | SendDigits
    | StartRecording
    | StopRecording
    | GetStatistics
    | CloseLeg
    | PutClip
    | OpenPeer
    | RestartPeer
    | JoinPeer
    | LeavePeer
    | Subscribe
    | BlockTrack
    | ClosePeer
    | GetMetrics
)


# --- answers -----------------------------------------------------------------------------------------------------


class Done(Tagged, frozen=True, kw_only=True, tag="done"):
    """The command was carried out."""


class Challenge(Tagged, frozen=True, kw_only=True, tag="challenge"):
    """What a `Hello` is to prove the knowledge of the secret with; another one for each link."""

    challenge: str


class Snapshot(Tagged, frozen=True, kw_only=True, tag="snapshot"):
    """Everything the media plane holds. ``instance`` changes when the media process does."""

    version: str
    instance: str
    last_event: int
    bridges: list[str]
    legs: list[LegState]
    peers: list[PeerState]
    clips: list[str]


class LegOpened(Tagged, frozen=True, kw_only=True, tag="leg.opened"):
    """Where the phone is to send; address as configured for the media plane."""

    address: str
    rtp_port: int
    rtcp_port: int


class LegStatistics(Tagged, frozen=True, kw_only=True, tag="leg.statistics"):
    """A leg's quality."""

    statistics: Statistics


class PeerOpened(Tagged, frozen=True, kw_only=True, tag="peer.opened"):
    """The SDP answer."""

    answer: str


class Metrics(Tagged, frozen=True, kw_only=True, tag="metrics"):
    """Counters and gauges by Prometheus name, for the scrape."""

    values: dict[str, float]


Answer = Done | Challenge | Snapshot | LegOpened | LegStatistics | PeerOpened | Metrics


class Refused(Tagged, frozen=True, kw_only=True, tag="refused"):
    """The command was not carried out. ``code`` is stable: unknown_leg, unknown_peer, unknown_bridge, unknown_clip,
    bad_offer, bad_audio, bad_value, no_port, no_capacity, protocol_mismatch, unauthorized, internal."""

    code: str
    message: str


# --- events ------------------------------------------------------------------------------------------------------
# Must-deliver events carry a sequence number and are kept until the control plane has had them; latest-wins events
# have sequence 0 and may be replaced by newer ones.


class DigitReceived(Tagged, frozen=True, kw_only=True, tag="digit"):
    """One RFC 4733 event, reported once, when it ended. ``duration`` in ms."""

    leg: str
    digit: str
    duration: int


class PlaybackEnded(Tagged, frozen=True, kw_only=True, tag="playback.ended"):
    """A playback came to its end, was stopped, or was replaced."""

    leg: str
    playback: str
    reason: Literal["finished", "stopped", "replaced"]


class LegSilent(Tagged, frozen=True, kw_only=True, tag="leg.silent"):
    """Neither RTP nor RTCP for ``silence`` ms; told again each 10 s while it lasts."""

    leg: str
    silence: int


class LegEnded(Tagged, frozen=True, kw_only=True, tag="leg.ended"):
    """A leg the media plane had to give up, and why."""

    leg: str
    reason: str


class SourceRejected(Tagged, frozen=True, kw_only=True, tag="leg.source_rejected"):
    """Media for a latched leg came from a stranger; told once per leg and address, at most 8 addresses."""

    leg: str
    address: str


class DigitsSent(Tagged, frozen=True, kw_only=True, tag="digits.sent"):
    """The last digit of a `SendDigits` has left."""

    leg: str


class PeerConnected(Tagged, frozen=True, kw_only=True, tag="peer.connected"):
    """ICE and DTLS are through; told again after each ICE restart."""

    peer: str


class PeerDisconnected(Tagged, frozen=True, kw_only=True, tag="peer.disconnected"):
    """ICE consent is lost; the peer stays for an ICE restart until it is closed."""

    peer: str


class PeerEnded(Tagged, frozen=True, kw_only=True, tag="peer.ended"):
    """A peer the media plane had to give up, and why."""

    peer: str
    reason: str


class SpeakersChanged(Tagged, frozen=True, kw_only=True, tag="speakers"):
    """Who is heard in a bridge, loudest first. Latest wins."""

    bridge: str
    speakers: list[Speaker]


class SlotsChanged(Tagged, frozen=True, kw_only=True, tag="slots"):
    """All audio slots of a peer and whose voice fills them. Latest wins."""

    peer: str
    slots: list[Slot]


class StatisticsReported(Tagged, frozen=True, kw_only=True, tag="statistics"):
    """A leg's quality, each 10 s. Latest wins."""

    leg: str
    statistics: Statistics


Event = (
    DigitReceived
    | PlaybackEnded
    | LegSilent
    | LegEnded
    | SourceRejected
    | DigitsSent
    | PeerConnected
    | PeerDisconnected
    | PeerEnded
    | SpeakersChanged
    | SlotsChanged
    | StatisticsReported
)


# --- frames ------------------------------------------------------------------------------------------------------


class Request(Value, frozen=True, kw_only=True):
    """Control plane to media plane."""

    id: int
    command: Command


class Reply(Tagged, frozen=True, kw_only=True, tag="reply"):
    """Media plane to control plane: the answer to the request with this id."""

    id: int
    answer: Answer | Refused


class Notice(Tagged, frozen=True, kw_only=True, tag="event"):
    """Media plane to control plane: something happened. ``sequence`` is 0 for latest-wins events."""

    sequence: int
    event: Event


FromMedia = Reply | Notice
