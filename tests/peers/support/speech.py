"""Recognising one of our prompts in what a phone heard, by correlation with its file."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

import dialroom.prompts

from .tones import Samples

RATE = 8000
LONGEST = 3.0
"""Seconds of a prompt that are compared at most."""
ALIKE = 0.8
"""Correlation from which on it is the prompt; different prompts stay below 0.75."""


@functools.cache
def prompt(key: str, language: str = "en") -> Samples:
    """The beginning of a prompt as samples at `RATE`, without the silence around it."""
    path = Path(dialroom.prompts.__file__).parent / "audio" / language / f"{key}.wav"
    samples = _decode_mu_law(path.read_bytes())
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    return samples[loud[0] : loud[-1] + 1][: int(LONGEST * RATE)]


def likeness(heard: Samples, rate: int, key: str, language: str = "en") -> float:
    """How much (0 to 1) the best matching stretch of what was heard is this prompt; 0 if it is too short."""
    wanted = prompt(key, language)
    sound = _at_8_khz(heard, rate)
    if len(sound) < len(wanted):
        return 0.0
    size = 1 << (len(sound) + len(wanted)).bit_length()
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(wanted, size)), size)
    product = product[: len(sound) - len(wanted) + 1]
    energy = np.concatenate(([0.0], np.cumsum(sound**2)))
    norm = np.sqrt(np.maximum(energy[len(wanted) :] - energy[: -len(wanted)], 1e-6) * np.sum(wanted**2))
    return float(np.max(np.abs(product) / norm))


def without_tones(samples: Samples, rate: int, tones: tuple[float, ...]) -> Samples:
    """The samples with these tones taken out, which others speak meanwhile."""
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    for tone in tones:
        spectrum[np.abs(frequencies - tone) < 4] = 0
    return np.fft.irfft(spectrum, len(samples))


def _decode_mu_law(file: bytes) -> Samples:
    """The samples of a μ-law WAV (ITU-T G.711)."""
    start = file.index(b"data") + 8
    code = ~np.frombuffer(file, dtype=np.uint8, offset=start)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code >> 4) & 7).astype(np.int32)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude) / 32768.0


def _at_8_khz(samples: Samples, rate: int) -> Samples:
    if rate == RATE:
        return samples
    spectrum = np.fft.rfft(samples)
    length = len(samples) * RATE // rate
    return np.fft.irfft(spectrum[: length // 2 + 1], length) * (RATE / rate)
