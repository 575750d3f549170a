"""baresip as a phone: it dials, sends digits, speaks a tone and keeps what it hears."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from .ports import free_port, media_ports
from .speech import ALIKE, likeness, without_tones
from .tones import Samples, level_of, read_wav, tone_loudness
from .waiting import wait_until

UNDER_A_PROMPT = 0.08
"""Share of a second's energy from which on a tone is somebody's: in our spoken prompts alone no tone of a test has
0.05, and a tone that one other speaks in the room while a prompt plays over it keeps 0.1."""

CODECS = {
    "PCMU": "PCMU/8000/1",
    "PCMA": "PCMA/8000/1",
    "G722": "G722/16000/1",
    "opus": "opus/48000/2",
}

CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip_port}
call_max_calls 4
audio_path /usr/share/baresip
audio_player aubridge,nil
audio_source ausine,{tone}
audio_alert aubridge,nil
ausrc_srate 48000
ausrc_channels 2
rtp_ports {rtp_low}-{rtp_high}
jitter_buffer_delay 1-10
module_path /usr/lib/baresip/modules
module g711.so
module g722.so
module opus.so
module ausine.so
module aubridge.so
module sndfile.so
module ctrl_tcp.so
module_app account.so
module_app menu.so
ctrl_tcp_listen 127.0.0.1:{control_port}
snd_path {folder}
"""


class Baresip:
    """A phone that speaks a tone of ``tone`` Hz; use it as a context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        user: str = "+15550001111",
        tone: int = 440,
        codec: str = "PCMU",
        name: str = "",
        ptime: int = 20,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._control_port = free_port(socket.SOCK_STREAM)
        rtp_low, rtp_high = media_ports(61000, 65000, 100)
        config = CONFIG.format(
            sip_port=free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM),
            tone=tone,
            rtp_low=rtp_low,
            rtp_high=rtp_high,
            control_port=self._control_port,
            folder=folder,
        )
        (folder / "config").write_text(config)
        account = f"{name} <sip:{user}@127.0.0.1>;regint=0;audio_codecs={CODECS[codec]};ptime={ptime}"
        (folder / "accounts").write_text(account + "\n")
        (folder / "contacts").write_text("")
        self.tone = tone
        self.others: tuple[float, ...] = ()
        """Tones that others in the room speak, which are taken out where prompts are looked for."""
        self.events: list[dict[str, Any]] = []
        self._buffer = b""

    def __enter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["baresip", "-4", "-n", "127.0.0.1", "-f", str(self.folder)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self._control_port))
                return self
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self._end()
                    raise AssertionError(f"baresip did not start: {(self.folder / 'log').read_text()}") from None
                time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def dial(self, uri: str) -> None:
        """Calls ``uri`` and returns when the call is answered."""
        self._command("dial", uri)
        event = self.wait_for("CALL_ESTABLISHED", "CALL_CLOSED")
        assert event["type"] == "CALL_ESTABLISHED", f"the call to {uri} was not answered: {event.get('param')}"

    def dial_refused(self, uri: str) -> str:
        """Calls ``uri``, which has to refuse; returns the status and reason as the phone shows them."""
        self._command("dial", uri)
        event = self.wait_for("CALL_ESTABLISHED", "CALL_CLOSED")
        assert event["type"] == "CALL_CLOSED", f"the call to {uri} was answered, and should not have been"
        return str(event["param"])

    def press(self, digits: str) -> None:
        """Sends digits as RFC 4733 events, one after another.

        In one command, as no digit may be added while they are being sent: baresip's queue of them has no lock, and
        one that is taken out while another is put in is sent twice.
        """
        self._command("sndcode", digits)

    def hang_up(self) -> None:
        """Sends BYE."""
        self._command("hangup")

    def hold(self) -> None:
        """Puts the call on hold by re-INVITE. baresip records nothing from here on, not even after `resume`."""
        self._command("hold")

    def resume(self) -> None:
        """Takes the call off hold by re-INVITE."""
        self._command("resume")

    def wait_for(self, *types: str, seconds: float = 30) -> dict[str, Any]:
        """The next event of one of these types; earlier ones are dropped."""
        deadline = time.monotonic() + seconds
        while True:
            while self.events:
                event = self.events.pop(0)
                if event.get("type") in types:
                    return event
            self._receive(deadline, f"{' or '.join(types)}")

    def heard(self, last: float | None = None) -> tuple[Samples, int]:
        """What the phone heard (its newest ``last`` seconds) and the sample rate."""
        dumps = sorted(self.folder.glob("dump-*-dec.wav"))
        assert dumps, f"the phone has recorded nothing: {(self.folder / 'log').read_text()}"
        samples, rate = read_wav(dumps[-1])
        return (samples if last is None else samples[-int(last * rate) :]), rate

    def hears(self, tone: float, *, seconds: float = 30, share: float = UNDER_A_PROMPT) -> None:
        """Waits until ``tone`` Hz is in the newest second of what the phone hears."""
        wait_until(
            lambda: self._share(tone) >= share,
            seconds,
            lambda: f"the phone never heard {tone} Hz: {self._share(tone):.4f}",
        )

    def hears_no(self, tone: float, *, seconds: float = 30) -> None:
        """Waits until a whole second of what the phone hears has nothing of ``tone`` Hz."""
        wait_until(
            lambda: 0 <= self._share(tone) < 0.004, seconds, lambda: f"the phone never stopped hearing {tone} Hz"
        )

    def steady_loudness_of(self, tone: float, *, near: float | None = None, seconds: float = 40) -> float:
        """Waits until ``tone`` Hz, and little else, was equally loud for two seconds; how loud that is, in dBFS.
        If it has to be ``near`` a loudness, others are waited out: what a busy browser sends comes in pieces."""
        levels = [-100.0, -100.0]

        def steady() -> bool:
            samples, rate = self.heard(last=2.0)
            halves = np.split(samples[: len(samples) // 2 * 2], 2)
            levels[:] = [tone_loudness(each, rate, tone) for each in halves]
            alone = len(samples) >= 2 * rate and all(level_of(each, rate, tone) > 0.95 for each in halves)
            return alone and abs(levels[0] - levels[1]) < 0.3 and (near is None or abs(levels[1] - near) <= 0.5)

        wait_until(
            steady, seconds, lambda: f"{tone} Hz never was as it should be; the newest two seconds: {levels} dBFS"
        )
        return levels[1]

    def position(self) -> float:
        """Seconds heard so far."""
        if not any(self.folder.glob("dump-*-dec.wav")):
            return 0.0
        samples, rate = self.heard()
        return len(samples) / rate

    def hears_more(self, seconds: float) -> None:
        """Waits until it heard so much more."""
        enough = self.position() + seconds
        wait_until(lambda: self.position() >= enough, 30, lambda: f"the phone heard {self.position()} s of {enough} s")

    def hears_prompt(self, key: str, *, since: float = 0.0, seconds: float = 30, language: str = "en") -> None:
        """Waits until one of our prompts was heard, after the first ``since`` seconds of the call."""
        best = [0.0]

        def heard() -> bool:
            samples, rate = self.heard()
            late = samples[int(since * rate) :]
            if len(late) > rate:
                best.append(likeness(without_tones(late, rate, self.others), rate, key, language))
            return best[-1] >= ALIKE

        wait_until(heard, seconds, lambda: f"the phone never heard the prompt {key}; most alike: {max(best):.2f}", 0.2)

    @contextmanager
    def is_told(self, key: str) -> Iterator[None]:
        """Waits until one of our prompts was heard because of what is done in the block."""
        since = self.position()
        yield
        self.hears_prompt(key, since=since)

    def _share(self, tone: float) -> float:
        samples, rate = self.heard(last=1.0)
        return level_of(samples, rate, tone) if len(samples) >= rate * 0.95 else -1.0

    def _command(self, command: str, parameters: str = "") -> None:
        data = json.dumps({"command": command, "params": parameters, "token": command}).encode()
        self._socket.sendall(b"%d:%s," % (len(data), data))
        deadline = time.monotonic() + 30
        while True:
            for index, event in enumerate(self.events):
                if event.get("response") and event.get("token") == command:
                    del self.events[index]
                    assert event["ok"], f"baresip refused {command} {parameters}: {event['data']}"
                    return
            self._receive(deadline, f"an answer to {command}")

    def _receive(self, deadline: float, what: str) -> None:
        """Reads netstrings of JSON until at least one more event is there."""
        left = deadline - time.monotonic()
        assert left > 0, f"the phone never told {what}"
        self._socket.settimeout(left)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"the phone never told {what}: {(self.folder / 'log').read_text()}") from None
        assert data, f"baresip ended: {(self.folder / 'log').read_text()}"
        self._buffer += data
        while b":" in self._buffer:
            length, rest = self._buffer.split(b":", 1)
            if len(rest) <= int(length):
                break
            self.events.append(json.loads(rest[: int(length)]))
            self._buffer = rest[int(length) + 1 :]
