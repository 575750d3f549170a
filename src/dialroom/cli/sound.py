"""Listening to a recording: which tones are in it, and how loud. Standard library only."""

from __future__ import annotations

import array
import math
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_FULL_SCALE = 32768.0
_WINDOW_SECONDS = 0.1
_SILENCE = -96.0


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono samples between -1 and 1, ``rate`` per second."""

    samples: Sequence[float]
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate

    @property
    def level(self) -> float:
        """Loudness in dB relative to a full-scale square wave (dBov)."""
        if not self.samples:
            return _SILENCE
        return _decibels(math.sqrt(sum(each * each for each in self.samples) / len(self.samples)))


def read_wav(path: Path) -> Sound:
    """A 16-bit WAV; of several channels the first. Raises ValueError for anything else, and OSError."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise ValueError(f"{path}: {8 * file.getsampwidth()} bits per sample where 16 are needed")
            channels, rate = file.getnchannels(), file.getframerate()
            data = array.array("h", file.readframes(file.getnframes()))
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path}: not a WAV file we can read ({error})") from error
    return Sound([sample / _FULL_SCALE for sample in data[::channels]], rate)


def tone_level(sound: Sound, frequency: float) -> float:
    """How loud a sine of ``frequency`` Hz is in a sound while it is there, in dBov: the median of the windows of 0.1 s
    in which it is strongest (a quarter of all)."""
    size = int(sound.rate * _WINDOW_SECONDS)
    powers = [
        _goertzel(sound.samples[start : start + size], sound.rate, frequency)
        for start in range(0, len(sound.samples) - size + 1, size)
    ]
    if not powers:
        return _SILENCE
    loudest = sorted(powers, reverse=True)[: max(1, len(powers) // 4)]
    return _decibels(loudest[len(loudest) // 2])


def _goertzel(samples: Sequence[float], rate: int, frequency: float) -> float:
    """Root mean square of the component at ``frequency``."""
    coefficient = 2.0 * math.cos(2.0 * math.pi * frequency / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = before * before + last * last - coefficient * before * last
    return math.sqrt(max(0.0, power) * 2.0) / len(samples)


def _decibels(amplitude: float) -> float:
    return 20.0 * math.log10(amplitude) if amplitude > 1e-5 else _SILENCE
