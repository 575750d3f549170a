"""One sample of each value that crosses the media link.

``python tests/unit/media/media_samples.py`` writes them to ``tests/data/media_protocol`` as MessagePack and, for
people and for Rust, as JSON (bytes as lists of numbers). Run it after a change of the protocol.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from dialroom.media import protocol as p

FOLDER = Path(__file__).parents[2] / "data" / "media_protocol"

MEDIA = p.LegMedia(
    remote_address="192.0.2.7",
    remote_rtp_port=40000,
    remote_rtcp_port=40001,
    rtcp_mux=True,
    codec=p.Codec(name="PCMU", payload_type=0, ptime=30),
    telephone_event=p.TelephoneEvent(payload_type=101, clock_rate=8000),
    comfort_noise_payload_type=13,
    direction="recvonly",
)
BARE_MEDIA = p.LegMedia(
    remote_address="2001:db8::7",
    remote_rtp_port=5004,
    remote_rtcp_port=5005,
    codec=p.Codec(
        name="opus",
        payload_type=111,
        opus=p.OpusParameters(maxaveragebitrate=20_000, maxplaybackrate=16_000, cbr=True, useinbandfec=True),
    ),
)
STATISTICS = p.Statistics(
    packets_received=500,
    packets_sent=501,
    packets_lost=5,
    packets_late=2,
    packets_rejected=1,
    loss=0.01,
    jitter=2.5,
    remote_loss=0.02,
    remote_jitter=3.5,
    round_trip=41.0,
    mos=4.25,
)
ITEMS: list[p.PlayItem] = [
    p.PlayClip(clip="welcome-en-1f2e"),
    p.PlaySilence(duration=250),
    p.PlayTone(frequency=440.0, duration=1000, level=-12.5),
]
LEG = p.LegState(
    leg="leg_1",
    tag="call_1",
    rtp_port=20000,
    bridge="ses_1",
    participant="par_1",
    muted=True,
    gain=-3.5,
    media=MEDIA,
    playback="play_1",
)
PEER = p.PeerState(peer="peer_1", tag="t", connected=True, bridge="ses_1", participant="par_2")
SPEAKER = p.Speaker(participant="par_1", level=-23)
SLOTS = [p.Slot(mid="3", participant="par_1", source="screen"), p.Slot(mid="4")]

COMMANDS: dict[str, p.Command] = {
    "challenge": p.GetChallenge(),
    "hello": p.Hello(after_event=17, instance="m-1", proof="00ff"),
    "hello_first": p.Hello(),
    "ping": p.Ping(),
    "bridge_open": p.OpenBridge(bridge="ses_1", tag="room_1"),
    "bridge_close": p.CloseBridge(bridge="ses_1"),
    "bridge_play": p.PlayToBridge(bridge="ses_1", items=ITEMS, except_participant="par_1"),
    "leg_open": p.OpenLeg(
        leg="leg_1",
        tag="call_1",
        remote_address="192.0.2.7",
        remote_rtp_port=40000,
        signalling_address="203.0.113.5",
    ),
    "leg_open_unknown": p.OpenLeg(leg="leg_1"),
    "leg_configure": p.ConfigureLeg(leg="leg_1", media=MEDIA),
    "leg_configure_bare": p.ConfigureLeg(leg="leg_1", media=BARE_MEDIA),
    "leg_join": p.JoinLeg(leg="leg_1", bridge="ses_1", participant="par_1", muted=True),
    "leg_leave": p.LeaveLeg(leg="leg_1"),
    "leg_mute": p.MuteLeg(leg="leg_1", muted=True),
    "leg_gain": p.SetLegGain(leg="leg_1", gain=6.0),
    "leg_play": p.Play(leg="leg_1", playback="play_1", items=ITEMS, loop=True),
    "leg_stop": p.StopPlayback(leg="leg_1"),
    "leg_digits": p.SendDigits(leg="leg_1", digits="12,#", duration=100, gap=50),
    "recording_start": p.StartRecording(recording="rec_1", leg="leg_1", path="/var/a.wav", direction="told"),
    "recording_stop": p.StopRecording(recording="rec_1"),
    "leg_statistics": p.GetStatistics(leg="leg_1"),
    "leg_close": p.CloseLeg(leg="leg_1"),
    "clip_put": p.PutClip(clip="welcome-en-1f2e", audio=b"RIFF\x00\xff"),
    "peer_open": p.OpenPeer(
        peer="peer_1",
        tag="t",
        offer="v=0\r\n",
        publish=[p.Publication(mid="0", source="microphone"), p.Publication(mid="1", source="camera")],
        audio_slots=["2", "3"],
        video_slots=["4"],
    ),
    "peer_restart": p.RestartPeer(peer="peer_1", offer="v=0\r\n"),
    "peer_join": p.JoinPeer(peer="peer_1", bridge="ses_1", participant="par_2"),
    "peer_leave": p.LeavePeer(peer="peer_1"),
    "peer_subscribe": p.Subscribe(peer="peer_1", slots=SLOTS),
    "peer_block": p.BlockTrack(peer="peer_1", source="microphone", blocked=True),
    "peer_close": p.ClosePeer(peer="peer_1"),
    "metrics": p.GetMetrics(),
}

ANSWERS: dict[str, p.Answer | p.Refused] = {
    "done": p.Done(),
    "challenge": p.Challenge(challenge="00ff"),
    "snapshot": p.Snapshot(
        version="0.1.0",
        instance="m-1",
        last_event=17,
        bridges=["ses_1"],
        legs=[LEG, p.LegState(leg="leg_2", tag="", rtp_port=20002)],
        peers=[PEER],
        clips=["welcome-en-1f2e"],
    ),
    "leg_opened": p.LegOpened(address="198.51.100.1", rtp_port=20000, rtcp_port=20001),
    "leg_statistics": p.LegStatistics(statistics=STATISTICS),
    "leg_statistics_empty": p.LegStatistics(statistics=p.Statistics()),
    "peer_opened": p.PeerOpened(answer="v=0\r\n"),
    "metrics": p.Metrics(values={"dialroom_media_legs": 2.0}),
    "refused": p.Refused(code="unknown_leg", message="There is no leg leg_9"),
}

EVENTS: dict[str, p.Event] = {
    "digit": p.DigitReceived(leg="leg_1", digit="#", duration=120),
    "playback_ended": p.PlaybackEnded(leg="leg_1", playback="play_1", reason="replaced"),
    "leg_silent": p.LegSilent(leg="leg_1", silence=20000),
    "leg_ended": p.LegEnded(leg="leg_1", reason="internal error"),
    "leg_source_rejected": p.SourceRejected(leg="leg_1", address="203.0.113.5:9999"),
    "digits_sent": p.DigitsSent(leg="leg_1"),
    "peer_connected": p.PeerConnected(peer="peer_1"),
    "peer_disconnected": p.PeerDisconnected(peer="peer_1"),
    "peer_ended": p.PeerEnded(peer="peer_1", reason="internal error"),
    "speakers": p.SpeakersChanged(bridge="ses_1", speakers=[SPEAKER]),
    "slots": p.SlotsChanged(peer="peer_1", slots=SLOTS),
    "statistics": p.StatisticsReported(leg="leg_1", statistics=STATISTICS),
}

LATEST_WINS = (p.SpeakersChanged, p.SlotsChanged, p.StatisticsReported)

Sample = p.Request | p.Reply | p.Notice


def samples() -> dict[str, Sample]:
    """Every sample under the name of its golden file."""
    found: dict[str, Sample] = {}
    for name, command in COMMANDS.items():
        found[f"command_{name}"] = p.Request(id=70000, command=command)
    for name, answer in ANSWERS.items():
        found[f"answer_{name}"] = p.Reply(id=70000, answer=answer)
    for name, event in EVENTS.items():
        sequence = 0 if isinstance(event, LATEST_WINS) else 18
        found[f"event_{name}"] = p.Notice(sequence=sequence, event=event)
    return found


def as_json(sample: Sample) -> str:
    """The JSON mirror of a sample."""
    builtins = msgspec.to_builtins(sample, builtin_types=(bytes,))
    return json.dumps(builtins, indent=2, ensure_ascii=False, default=list) + "\n"


def write() -> None:
    """Writes all golden files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, sample in samples().items():
        (FOLDER / f"{name}.msgpack").write_bytes(msgspec.msgpack.encode(sample))
        (FOLDER / f"{name}.json").write_text(as_json(sample))


if __name__ == "__main__":
    write()
