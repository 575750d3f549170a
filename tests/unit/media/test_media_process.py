"""The real media process over its socket: phones that speak, hear, press and play."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from dialroom.media import protocol as p
from dialroom.media.client import MediaClient
from dialroom.media.framing import FrameReader, decode_from_media, encode_request
from dialroom.media.plane import MediaLost, MediaRefused
from dialroom.media.process import MediaProcess, MediaProcessSettings, find_binary

from .phones import Phone, tone_power

LOUD = 2500.0
QUIET = 300.0


async def call(client: MediaClient, phone: Phone, leg: str, bridge: str | None = None) -> int:
    """Puts a phone on the line; the port it speaks to."""
    opened = await client.open_leg(leg, remote_address="127.0.0.1", remote_rtp_port=phone.port)
    await client.perform(p.ConfigureLeg(leg=leg, media=phone.media()))
    if bridge is not None:
        await client.perform(p.OpenBridge(bridge=bridge))
        await client.perform(p.JoinLeg(leg=leg, bridge=bridge, participant=f"of {leg}"))
    phone.speak_to(opened.rtp_port)
    return opened.rtp_port


async def settled(phone: Phone, frequency: float) -> np.ndarray:
    """Half a second of sound once the frequency is there."""
    await phone.wait_until(lambda: len(phone.heard) > 10 and tone_power(phone.heard[-1], frequency) > LOUD)
    return await phone.hear(0.5)


class Events:
    """Events of a client, to be waited for."""

    def __init__(self, client: MediaClient) -> None:
        self.seen: list[p.Event] = []
        self._news = asyncio.Event()
        client.listen_all(self._take)

    def _take(self, event: p.Event) -> None:
        self.seen.append(event)
        self._news.set()

    async def wait(self, expected: p.Event) -> None:
        async with asyncio.timeout(10):
            while expected not in self.seen:
                self._news.clear()
                await self._news.wait()


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


async def test_two_phones_hear_each_other_and_not_themselves(client: MediaClient, phones: list[Phone]) -> None:
    one, two = phones[:2]
    await call(client, one, "one", "room")
    await call(client, two, "two", "room")
    at_one, at_two = await asyncio.gather(settled(one, two.frequency), settled(two, one.frequency))
    assert tone_power(at_one, two.frequency) > LOUD
    assert tone_power(at_one, one.frequency) < QUIET
    assert tone_power(at_two, one.frequency) > LOUD
    assert tone_power(at_two, two.frequency) < QUIET


async def test_a_listener_hears_all_who_speak(client: MediaClient, phones: list[Phone]) -> None:
    for index, phone in enumerate(phones):
        await call(client, phone, f"leg{index}", "room")
    phones[3].stop_speaking()
    await settled(phones[3], phones[0].frequency)
    heard = await phones[3].hear(1.0)
    for speaker in phones[:3]:
        assert tone_power(heard, speaker.frequency) > 1500


async def test_a_muted_phone_is_not_heard_but_its_digits_count(client: MediaClient, phones: list[Phone]) -> None:
    one, two = phones[:2]
    events = Events(client)
    port = await call(client, one, "one", "room")
    await call(client, two, "two", "room")
    await settled(two, one.frequency)
    await client.perform(p.MuteLeg(leg="one", muted=True))
    await two.wait_until(lambda: tone_power(two.heard[-1], one.frequency) < QUIET)
    assert tone_power(await two.hear(0.3), one.frequency) < QUIET
    one.press(port, 11)
    await events.wait(p.DigitReceived(leg="one", digit="#", duration=60))
    assert sum(isinstance(event, p.DigitReceived) for event in events.seen) == 1


async def test_a_prompt_is_heard_by_its_leg_only_and_its_end_is_told(client: MediaClient, phones: list[Phone]) -> None:
    one, two = phones[:2]
    events = Events(client)
    await call(client, one, "one", "room")
    await call(client, two, "two", "room")
    await settled(one, two.frequency)
    await client.put_clip("beep", wav(9000 * np.sin(2 * np.pi * 2300 * np.arange(8000) / 8000)))
    await client.perform(p.Play(leg="one", playback="p1", items=[p.PlayClip(clip="beep")]))
    await one.wait_until(lambda: tone_power(one.heard[-1], 2300) > LOUD)
    heard, elsewhere = await asyncio.gather(one.hear(0.3), two.hear(0.3))
    assert tone_power(heard, 2300) > LOUD
    assert 200 < tone_power(heard, two.frequency) < 2500, "the room goes on, quieter"
    assert tone_power(elsewhere, 2300) < QUIET
    await events.wait(p.PlaybackEnded(leg="one", playback="p1", reason="finished"))


async def test_playbacks_are_replaced_and_stopped(client: MediaClient, phones: list[Phone]) -> None:
    events = Events(client)
    await call(client, phones[0], "one")
    tone = p.PlayTone(frequency=1000, duration=60_000)
    await client.perform(p.Play(leg="one", playback="a", items=[tone], loop=True))
    await client.perform(p.Play(leg="one", playback="b", items=[tone]))
    await events.wait(p.PlaybackEnded(leg="one", playback="a", reason="replaced"))
    await client.perform(p.StopPlayback(leg="one"))
    await events.wait(p.PlaybackEnded(leg="one", playback="b", reason="stopped"))
    await client.perform(p.StopPlayback(leg="one"))


async def test_an_announcement_is_heard_by_all_but_one(client: MediaClient, phones: list[Phone]) -> None:
    for index, phone in enumerate(phones[:2]):
        await call(client, phone, f"leg{index}", "room")
        phone.stop_speaking()
    items: list[p.PlayItem] = [p.PlayTone(frequency=2300, duration=1500, level=-15)]
    await client.perform(p.PlayToBridge(bridge="room", items=items, except_participant="of leg1"))
    await phones[0].wait_until(lambda: bool(phones[0].heard) and tone_power(phones[0].heard[-1], 2300) > LOUD)
    there, not_there = await asyncio.gather(phones[0].hear(0.5), phones[1].hear(0.5))
    assert tone_power(there, 2300) > LOUD
    assert tone_power(not_there, 2300) < QUIET


async def test_digits_are_sent_once_and_their_end_is_told(client: MediaClient, phones: list[Phone]) -> None:
    events = Events(client)
    await call(client, phones[0], "one")
    await client.perform(p.SendDigits(leg="one", digits="1,#"))
    await events.wait(p.DigitsSent(leg="one"))
    pressed = [event for event, _ in phones[0].events]
    assert sorted(set(pressed), key=pressed.index) == [1, 11]
    assert sum(end for _, end in phones[0].events) == 6, "three end packets each"


async def test_a_recording_is_complete_when_its_stop_is_answered(
    client: MediaClient, phones: list[Phone], tmp_path: Path
) -> None:
    await call(client, phones[0], "one")
    path = tmp_path / "heard.wav"
    await client.perform(p.StartRecording(recording="r", leg="one", path=str(path)))
    await phones[0].hear(1.0)
    await client.perform(p.StopRecording(recording="r"))
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert len(samples) >= 6000
    assert tone_power(samples[-4000:], phones[0].frequency) > LOUD


async def test_the_end_of_the_process_completes_its_recordings(
    process: MediaProcess, client: MediaClient, phones: list[Phone], tmp_path: Path
) -> None:
    await call(client, phones[0], "one")
    path = tmp_path / "heard.wav"
    await client.perform(p.StartRecording(recording="r", leg="one", path=str(path)))
    await phones[0].hear(0.3)
    await process.stop()
    with wave.open(str(path)) as file:
        assert file.getnframes() >= 1600
        assert path.stat().st_size == 44 + 2 * file.getnframes()


async def test_a_recording_that_cannot_be_written_is_refused(client: MediaClient, phones: list[Phone]) -> None:
    await call(client, phones[0], "one")
    for _ in range(2):
        with pytest.raises(MediaRefused, match="check folder"):
            await client.perform(p.StartRecording(recording="r", leg="one", path="/nowhere/at/all.wav"))


async def test_a_stranger_cannot_take_a_call_over(client: MediaClient, phones: list[Phone]) -> None:
    one, stranger = phones[:2]
    events = Events(client)
    port = await call(client, one, "one")
    await client.perform(p.Play(leg="one", playback="p", items=[p.PlayTone(frequency=1000, duration=60_000)]))
    await settled(one, 1000)
    stranger.speak_to(port)
    await events.wait(p.SourceRejected(leg="one", address=f"127.0.0.1:{stranger.port}"))
    await one.hear(0.3)
    assert not stranger.heard


async def test_statistics_tell_what_came(client: MediaClient, phones: list[Phone]) -> None:
    await call(client, phones[0], "one")
    await phones[0].hear(0.5)
    statistics = await client.close_leg("one")
    assert statistics.packets_received > 10
    assert statistics.packets_sent > 10
    assert statistics.loss == 0
    assert statistics.mos is not None
    assert statistics.mos > 4
    await phones[0].wait_until(lambda: phones[0].rtcp > 0)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (p.Play(leg="none", playback="p", items=[]), "unknown_leg"),
        (p.JoinPeer(peer="none", bridge="b", participant="x"), "unknown_peer"),
        (p.PlayToBridge(bridge="none", items=[]), "unknown_bridge"),
        (p.PutClip(clip="c", audio=b"not a wav"), "bad_audio"),
        (p.OpenPeer(peer="x", offer="not sdp", publish=[], audio_slots=[], video_slots=[]), "bad_offer"),
        (p.OpenBridge(bridge=""), "bad_value"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_its_code(client: MediaClient, command: p.Command, code: str) -> None:
    with pytest.raises(MediaRefused) as refused:
        await client.request(command)
    assert refused.value.code == code


async def test_a_snapshot_shows_what_there_is(process: MediaProcess, client: MediaClient, phones: list[Phone]) -> None:
    await call(client, phones[0], "one", "room")
    await client.perform(p.SetLegGain(leg="one", gain=-6))
    await client.close()
    again = MediaClient(process.url)
    snapshot = await again.connect()
    await again.close()
    assert snapshot.bridges == ["room"]
    (leg,) = snapshot.legs
    assert (leg.leg, leg.bridge, leg.participant, leg.gain) == ("one", "room", "of one", -6.0)
    assert leg.media == phones[0].media()


async def test_a_lost_control_plane_loses_no_sound_and_no_event(
    process: MediaProcess, client: MediaClient, phones: list[Phone]
) -> None:
    one, two = phones[:2]
    port = await call(client, one, "one", "room")
    await call(client, two, "two", "room")
    await settled(two, one.frequency)
    last_event, instance = client.last_event, client.instance
    await client.close()
    one.press(port, 5)
    heard = await two.hear(1.0)
    assert tone_power(heard, one.frequency) > LOUD, "the room goes on"
    again = MediaClient(process.url)
    await again.connect(last_event, instance, hold_events=True)
    events = Events(again)
    again.release_events()
    await events.wait(p.DigitReceived(leg="one", digit="5", duration=60))
    await again.close()


async def test_a_second_control_plane_replaces_the_first(process: MediaProcess, client: MediaClient) -> None:
    lost = asyncio.Event()
    client.listen_link(lambda snapshot: lost.set() if snapshot is None else None)
    other = MediaClient(process.url)
    await other.connect()
    await asyncio.wait_for(lost.wait(), 10)
    await client.close()
    await other.perform(p.Ping())
    await other.close()


async def test_a_running_process_is_adopted(process: MediaProcess, data_dir: Path) -> None:
    pid = process.pid()
    other = MediaProcess(MediaProcessSettings(data_dir, rtp_ports="0", webrtc_port=0))
    assert not await other.ensure()
    assert other.pid() == pid


async def test_a_running_process_is_adopted_although_whoever_started_it_could_not_note_its_number(
    process: MediaProcess, data_dir: Path
) -> None:
    pid = process.pid()
    (data_dir / "media.pid").unlink()
    other = MediaProcess(MediaProcessSettings(data_dir, rtp_ports="0", webrtc_port=0))
    assert not await other.ensure()
    assert other.pid() == pid
    assert (data_dir / "media.pid").read_text() == f"{pid}\n"


async def test_the_media_process_of_somebody_else_is_not_taken_for_ours(process: MediaProcess, data_dir: Path) -> None:
    folder = data_dir / "other"
    folder.mkdir()
    (folder / "media.pid").write_text(f"{process.pid()}\n")
    other = MediaProcess(MediaProcessSettings(folder, rtp_ports="0", webrtc_port=0))
    assert other.pid() is None
    await other.stop()
    assert process.pid() is not None


async def test_a_program_of_another_name_is_known_for_ours(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "our-own-build"
    shutil.copy2(find_binary(), program)
    monkeypatch.setenv("DIALROOM_MEDIA_BINARY", str(program))
    own = MediaProcess(MediaProcessSettings(data_dir, rtp_ports="0", webrtc_port=0))
    await own.ensure()
    try:
        assert own.pid() is not None
    finally:
        await own.stop()
    client = MediaClient(own.url)
    with pytest.raises(MediaLost):
        await client.connect()
    await client.close()


async def test_a_process_that_died_is_started_anew_and_the_client_finds_it(process: MediaProcess) -> None:
    client = MediaClient(process.url, revive=process.ensure, patience=10)
    snapshot = await client.connect()
    back: asyncio.Future[p.Snapshot] = asyncio.get_running_loop().create_future()
    client.listen_link(lambda s: back.set_result(s) if s is not None and not back.done() else None)
    await process.stop()
    again = await asyncio.wait_for(back, 20)
    assert again.instance != snapshot.instance
    await client.perform(p.Ping())
    await client.close()


async def test_a_port_that_is_taken_is_said_so(process: MediaProcess, client: MediaClient, data_dir: Path) -> None:
    log = (data_dir / "media.log").read_text()
    port = int(log.split("web_rtc_port=")[1].split()[0])
    folder = data_dir / "other"
    folder.mkdir()
    settings = MediaProcessSettings(folder, rtp_address="127.0.0.1", rtp_ports="0", webrtc_port=port)
    with pytest.raises(Exception, match="choose --webrtc-port"):
        await MediaProcess(settings).ensure()


async def test_a_process_that_nobody_comes_back_to_ends_if_told_so(data_dir: Path) -> None:
    settings = MediaProcessSettings(data_dir, rtp_address="127.0.0.1", rtp_ports="0", webrtc_port=0, linger=1)
    process = MediaProcess(settings)
    await process.ensure()
    client = MediaClient(process.url)
    await client.connect()
    await client.close()
    assert process._child is not None
    assert await asyncio.to_thread(process._child.wait, 15) == 0
    assert process.pid() is None
    assert not settings.socket.exists()


@pytest.fixture
async def by_tcp() -> AsyncIterator[str]:
    """The address of a media process that runs on its own and has a secret."""
    command = [str(find_binary()), "--control", "tcp:127.0.0.1:0", "--rtp-address", "127.0.0.1"]
    command += ["--rtp-ports", "0", "--webrtc-port", "0", "--linger", "60"]
    environment = {**os.environ, "DIALROOM_MEDIA_SECRET": "a secret of ours"}
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment
    )
    assert child.stdout is not None
    yield json.loads(await child.stdout.readline())["control"]
    child.terminate()
    assert await child.wait() == 0


async def test_a_media_process_elsewhere_is_used_by_who_knows_its_secret(by_tcp: str) -> None:
    client = MediaClient(by_tcp, secret="a secret of ours")
    await client.connect()
    await client.perform(p.OpenBridge(bridge="room"))
    await client.close()
    again = MediaClient(by_tcp, secret="a secret of ours")
    assert (await again.connect()).bridges == ["room"]
    await again.close()


@pytest.mark.parametrize("secret", ["", "a secret of hers"])
async def test_a_media_process_elsewhere_turns_away_who_does_not_know_its_secret(by_tcp: str, secret: str) -> None:
    client = MediaClient(by_tcp, secret=secret)
    with pytest.raises(MediaRefused, match="media_secret") as refused:
        await client.connect()
    assert refused.value.code == "unauthorized"


async def test_another_version_of_the_protocol_is_refused(process: MediaProcess) -> None:
    reader, writer = await asyncio.open_unix_connection(process.url.removeprefix("unix:"))
    writer.write(encode_request(p.Request(id=5, command=p.Hello(protocol=99))))
    frames = FrameReader()
    bodies: list[bytes] = []
    while not bodies:
        bodies = frames.feed(await reader.read(4096))
    writer.close()
    reply = decode_from_media(bodies[0])
    assert isinstance(reply, p.Reply)
    assert isinstance(reply.answer, p.Refused)
    assert reply.answer.code == "protocol_mismatch"


async def test_noise_on_the_control_socket_ends_nothing(process: MediaProcess, client: MediaClient) -> None:
    for noise in (b"", b"\xff" * 100, b"\x00\x00\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n"):
        reader, writer = await asyncio.open_unix_connection(process.url.removeprefix("unix:"))
        writer.write(noise)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
    await client.perform(p.Ping())


async def test_metrics_count_what_happens(client: MediaClient, phones: list[Phone]) -> None:
    await call(client, phones[0], "one")
    await phones[0].hear(0.3)
    metrics = await client.metrics()
    assert metrics["dialroom_media_legs"] == 1
    assert metrics["dialroom_media_datagrams_received_total"] > 5
    assert metrics["dialroom_media_datagrams_sent_total"] > 5
    assert metrics["dialroom_media_packet_thread_user_seconds_total"] >= 0
    assert metrics["dialroom_media_panics_total"] == 0
