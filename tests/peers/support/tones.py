"""Measuring what was heard: which tone, and how loud."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


def read_wav(path: Path) -> tuple[Samples, int]:
    """Samples (-1 to 1) of the first channel and sample rate (Hz) of a PCM16 file, also of one still being written."""
    data = path.read_bytes()
    start = data.find(b"data") + 8
    if start < 36:
        return np.zeros(0), 8000
    channels = int.from_bytes(data[22:24], "little")
    frames = len(data[start:]) // (2 * channels)
    pcm = np.frombuffer(data, dtype="<i2", count=frames * channels, offset=start)
    return pcm[::channels].astype(np.float64) / 32768, int.from_bytes(data[24:28], "little")


def write_tone(path: Path, frequency: float, seconds: float, rate: int = 48000, level: float = 0.3) -> Path:
    """A PCM16 file of one sine; returns its path."""
    time = np.arange(int(seconds * rate)) / rate
    pcm = (level * np.sin(2 * np.pi * frequency * time) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(pcm.tobytes())
    return path


def level_of(samples: Samples, rate: int, frequency: float, width: float = 15.0) -> float:
    """The part (0 to 1) of the signal's energy that lies within ``width`` Hz of ``frequency``; 0 for near silence."""
    if len(samples) < rate // 10 or np.sqrt(np.mean(samples**2)) < 1e-3:
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    near = np.abs(frequencies - frequency) <= width
    return float(spectrum[near].sum() / spectrum[frequencies > 50].sum())


def loudness(samples: Samples) -> float:
    """Root mean square in dBFS; -100 for digital silence."""
    rms = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    return 20 * np.log10(rms) if rms > 1e-5 else -100.0


def tone_loudness(samples: Samples, rate: int, frequency: float) -> float:
    """How loud the part of the signal near ``frequency`` is, in dBFS; -100 for nothing of it."""
    share = level_of(samples, rate, frequency)
    return loudness(samples) + 10 * float(np.log10(share)) if share > 0 else -100.0
