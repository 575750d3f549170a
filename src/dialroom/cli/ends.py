"""The two ends of a demonstration: something that speaks a tone into the room and tells which tones it hears."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dialroom.cli.phone import Line
from dialroom.cli.sound import read_wav, tone_level

HEARD_DBOV = -45.0
"""A tone this loud is heard; ours are spoken at -20 dBov."""
MARGIN_DB = 15.0
"""By how much an end must hear others louder than itself."""


class End(Protocol):
    """Somebody in the room."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def frequency(self) -> float:
        """The tone it speaks, in Hz."""
        ...

    async def speak(self) -> None:
        """Starts its tone."""

    async def listen(self, seconds: float, frequencies: tuple[float, ...]) -> dict[float, float]:
        """How loud it hears each of these tones, in dBov."""
        ...


@dataclass(frozen=True, slots=True)
class PhoneEnd:
    """A test phone in the room."""

    name: str
    frequency: float
    line: Line
    folder: Path

    async def speak(self) -> None:
        """Starts its tone."""
        await self.line.play_tone(self.frequency)

    async def listen(self, seconds: float, frequencies: tuple[float, ...]) -> dict[float, float]:
        """How loud it hears each of these tones, in dBov."""
        path = self.folder / f"{self.name.replace(' ', '-')}.wav"
        recording = await self.line.record(path)
        await asyncio.sleep(seconds)
        await self.line.stop_recording(recording)
        sound = await asyncio.to_thread(read_wav, path)
        return {frequency: tone_level(sound, frequency) for frequency in frequencies}


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one end hears another (or, of itself, that it does not)."""

    listener: str
    speaker: str
    level: float
    good: bool


async def hear_each_other(ends: tuple[End, ...], seconds: float = 3.0) -> list[Finding]:
    """Lets all speak at once, and listens at every end."""
    for end in ends:
        await end.speak()
    frequencies = tuple(end.frequency for end in ends)
    await asyncio.sleep(0.5)
    heard = await asyncio.gather(*(end.listen(seconds, frequencies) for end in ends))
    return [finding for end, levels in zip(ends, heard, strict=True) for finding in _judge(end, levels, ends)]


def _judge(listener: End, levels: dict[float, float], ends: tuple[End, ...]) -> list[Finding]:
    findings = []
    others = [levels[end.frequency] for end in ends if end is not listener]
    for speaker in ends:
        level = levels[speaker.frequency]
        good = level >= HEARD_DBOV if speaker is not listener else level <= max(others) - MARGIN_DB
        findings.append(Finding(listener.name, speaker.name, level, good))
    return findings
