"""The media end of a phone for which SIPp speaks SIP: it sends exactly the packets a test wants, and keeps each one
that comes."""

from __future__ import annotations

import itertools
import queue
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np

from .baresip import UNDER_A_PROMPT
from .g711 import decode, encode
from .tones import Samples, level_of
from .waiting import wait_until

PAYLOAD_TYPES = {0: "PCMU", 8: "PCMA"}
DIGITS = 101
RATE = 8000
LEVEL = 0.3
EVENT_PACKETS = 8
"""Packets of one key press (RFC 4733 §2.5.1.2): five while it is held, the end three times."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that came; ``timestamp`` in RTP ticks."""

    payload_type: int
    sequence: int
    timestamp: int
    payload: bytes


class RtpPhone:
    """Speaks a tone of ``tone`` Hz in packets of ``ptime`` ms, to whoever sends media here, in the codec in which they
    send; use it as a context manager."""

    def __init__(self, *, tone: float = 440, ptime: int = 20) -> None:
        self.packets: list[Packet] = []
        self._tone = tone
        self._ticks = RATE * ptime // 1000
        self._keys: queue.SimpleQueue[tuple[str, Collection[int]]] = queue.SimpleQueue()
        self._over = threading.Event()
        self._sequence, self._timestamp = 65500, 2**32 - RATE  # both wrap around during the call
        self._codec = 0

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._listen, self._speak)]
        self._peer: tuple[str, int] | None = None
        self._has_peer = threading.Event()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._has_peer.set()
        self._socket.sendto(b"", ("127.0.0.1", self.port))  # wakes who listens
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def press(self, keys: str, *, lost: Collection[int] = ()) -> None:
        """Presses these keys; of the eight packets of each, the network loses those with these numbers (from 0)."""
        for key in keys:
            self._keys.put((key, lost))

    def hears(self, codec: str, tone: float, *, share: float = UNDER_A_PROMPT) -> None:
        """Waits until ``tone`` Hz is in the newest second that came in this codec."""
        wait_until(
            lambda: level_of(self.heard(codec)[-RATE:], RATE, tone) >= share,
            30,
            lambda: f"never heard {tone} Hz in {codec}; packets: {len(self.packets)}",
        )

    def hears_nothing_more(self) -> int:
        """Waits until no packet comes any more for half a second; how many came before."""
        counts = [-1]

        def stands_still() -> bool:
            counts.append(len(self.packets))
            return counts[-1] == counts[-2]

        wait_until(stands_still, 30, lambda: f"packets still come: {counts[-2:]}", 0.5)
        return counts[-1]

    def waits_for_more(self, packets: int, *, seconds: float = 1.0) -> None:
        """Waits until so much more sound came than these packets."""

        def samples() -> int:
            return sum(len(each.payload) for each in self.packets[packets:])

        wait_until(lambda: samples() >= seconds * RATE, 30, lambda: f"only {samples()} samples more came")

    def heard(self, codec: str) -> Samples:
        """All samples that came in this codec."""
        came = [decode(codec, each.payload) for each in list(self.packets) if self._name(each) == codec]
        return np.concatenate(came) if came else np.zeros(0)

    def strides(self) -> set[tuple[int, int]]:
        """How far each packet is from the one sent before it: in sequence numbers, and in RTP ticks."""
        first = self.packets[0].sequence
        sent = sorted(self.packets, key=lambda packet: (packet.sequence - first) % 2**16)
        return {
            ((after.sequence - before.sequence) % 2**16, (after.timestamp - before.timestamp) % 2**32)
            for before, after in itertools.pairwise(sent)
        }

    # --- the two threads ---------------------------------------------------------------------------------------

    def _name(self, packet: Packet) -> str:
        return PAYLOAD_TYPES.get(packet.payload_type, "")

    def _listen(self) -> None:
        while not self._over.is_set():
            data, peer = self._socket.recvfrom(2048)
            if len(data) < 12 or data[1] & 0x7F not in PAYLOAD_TYPES:
                continue
            sequence, timestamp = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:8], "big")
            self.packets.append(Packet(data[1] & 0x7F, sequence, timestamp, data[12:]))
            self._codec, self._peer = data[1] & 0x7F, peer
            self._has_peer.set()

    def _speak(self) -> None:
        self._has_peer.wait()
        due, at = time.monotonic(), 0
        while not self._over.is_set():
            if not self._keys.empty():
                self._hold_key(*self._keys.get())
                due = time.monotonic()
            samples = LEVEL * np.sin(2 * np.pi * self._tone * np.arange(at, at + self._ticks) / RATE)
            self._send(self._codec, encode(PAYLOAD_TYPES[self._codec], samples))
            self._timestamp += self._ticks
            at += self._ticks
            due += self._ticks / RATE
            self._over.wait(max(0.0, due - time.monotonic()))

    def _hold_key(self, key: str, lost: Collection[int]) -> None:
        """One event: its packets share a timestamp; pauses make it as long as it says."""
        code = "0123456789*#".index(key)
        for number in range(EVENT_PACKETS):
            ended = number >= EVENT_PACKETS - 3
            ticks = 160 * min(number + 1, EVENT_PACKETS - 2)
            payload = bytes((code, 0x8A if ended else 0x0A)) + ticks.to_bytes(2, "big")
            self._send(DIGITS, payload, marker=number == 0, lost=number in lost)
            self._over.wait(0.02)
        self._timestamp += 160 * EVENT_PACKETS

    def _send(self, payload_type: int, payload: bytes, *, marker: bool = False, lost: bool = False) -> None:
        self._sequence = (self._sequence + 1) % 2**16
        header = bytes((0x80, payload_type | (0x80 if marker else 0))) + self._sequence.to_bytes(2, "big")
        header += (self._timestamp % 2**32).to_bytes(4, "big") + b"\x12\x34\x56\x78"
        if not lost and self._peer is not None:
            self._socket.sendto(header + payload, self._peer)
