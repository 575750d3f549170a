"""Phones made of a UDP socket: they send a tone and measure what they hear."""

from __future__ import annotations

import asyncio
import math
import struct
import typing
from collections.abc import Callable
from typing import Self

import numpy as np

from dialroom.media.protocol import Codec, LegMedia, TelephoneEvent

RATE = 8000
TICK = 0.02


def ulaw_encode(samples: np.ndarray) -> bytes:
    """G.711 µ-law of 16-bit samples."""
    magnitude = np.minimum(np.abs(samples.astype(np.int32)), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    return bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8))


def ulaw_decode(data: bytes) -> np.ndarray:
    """16-bit samples of G.711 µ-law."""
    code = ~np.frombuffer(data, np.uint8).astype(np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 132) << ((code >> 4) & 7)) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def tone_power(samples: np.ndarray, frequency: float) -> float:
    """Amplitude of one frequency in the samples, 0 to 32767."""
    if len(samples) == 0:
        return 0.0
    turn = np.exp(-2j * math.pi * frequency * np.arange(len(samples)) / RATE)
    return float(2 * abs(np.dot(samples.astype(np.float64), turn)) / len(samples))


class Phone(asyncio.DatagramProtocol):
    """A phone at a port of loopback, µ-law, 20 ms packets."""

    def __init__(self, frequency: float) -> None:
        self.frequency = frequency
        self.heard: list[np.ndarray] = []
        self.events: list[tuple[int, bool]] = []
        self.rtcp = 0
        self.transport: asyncio.DatagramTransport | None = None
        self._sequence = 100
        self._sample = 0
        self._speaking: asyncio.Task[None] | None = None
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    @classmethod
    async def open(cls, frequency: float) -> Self:
        phone = cls(frequency)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: phone, local_addr=("127.0.0.1", 0))
        return phone

    @property
    def port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    def media(self, *, ptime: int = 20) -> LegMedia:
        return LegMedia(
            remote_address="127.0.0.1",
            remote_rtp_port=self.port,
            remote_rtcp_port=self.port,
            rtcp_mux=True,
            codec=Codec(name="PCMU", payload_type=0, ptime=ptime),
            telephone_event=TelephoneEvent(payload_type=101),
        )

    def speak_to(self, port: int) -> None:
        self._speaking = asyncio.create_task(self._speak(port))

    def stop_speaking(self) -> None:
        if self._speaking is not None:
            self._speaking.cancel()
            self._speaking = None

    def press(self, port: int, event: int) -> None:
        timestamp = self._sample
        for packet in range(5):
            end = packet >= 2
            payload = struct.pack(">BBH", event, 0x80 * end + 10, 160 * min(packet + 1, 3))
            self._send(port, 101, timestamp, payload)

    def close(self) -> None:
        self.stop_speaking()
        if self.transport is not None:
            self.transport.close()

    async def wait_until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((condition, future))
        await asyncio.wait_for(future, seconds)

    async def hear(self, seconds: float) -> np.ndarray:
        """What is heard from now on, for so long."""
        start, packets = len(self.heard), int(seconds / TICK)
        await self.wait_until(lambda: len(self.heard) >= start + packets, seconds + 10)
        return np.concatenate(self.heard[start:])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = typing.cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        kind = data[1]
        if 192 <= kind <= 223:
            self.rtcp += 1
        elif kind & 0x7F == 101:
            self.events.append((data[12], bool(data[13] & 0x80)))
        else:
            self.heard.append(ulaw_decode(data[12:]))
        for waiter in list(self._waiters):
            condition, future = waiter
            if condition():
                self._waiters.remove(waiter)
                if not future.done():
                    future.set_result(None)

    async def _speak(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            at = np.arange(self._sample, self._sample + 160)
            samples = (8000 * np.sin(2 * math.pi * self.frequency * at / RATE)).astype(np.int16)
            self._send(port, 0, self._sample, ulaw_encode(samples))
            self._sample += 160
            due += TICK
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _send(self, port: int, payload_type: int, timestamp: int, payload: bytes) -> None:
        header = struct.pack(">BBHII", 0x80, payload_type, self._sequence & 0xFFFF, timestamp, 0x1234 + self.port)
        self._sequence += 1
        if self.transport is not None:
            self.transport.sendto(header + payload, ("127.0.0.1", port))
