"""Recognising one of our prompts in what a phone heard, by correlation with its file."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

import dialroom.prompts

from .g711 import decode
from .tones import Samples

RATE = 8000
LONGEST = 3.0
"""Seconds of a prompt that are compared at most."""
PIECE = RATE
BLOCK = RATE // 100
SLACK = 6
"""Blocks of 10 ms by which pieces may be apart from where they should be."""
ALIKE = 0.85
"""Correlation from which on it is the prompt; different prompts stay at 0.8 and below."""


@functools.cache
def prompt(key: str, language: str = "en") -> Samples:
    """The beginning of a prompt as samples at `RATE`, without the silence around it."""
    audio = Path(dialroom.prompts.__file__).parent / "audio"
    path = next(audio.glob(f"{language}/{key}.wav"), audio / "sounds" / f"{key}.wav")
    file = path.read_bytes()
    samples = decode("PCMU", file[file.index(b"data") + 8 :])
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    return samples[loud[0] : loud[-1] + 1][: int(LONGEST * RATE)]


def likeness(heard: Samples, rate: int, key: str, language: str = "en") -> float:
    """How much (0 to 1) the best matching stretch of what was heard is this prompt; 0 if it is too short.

    The prompt is compared in pieces that may be a little apart: a packet late on a busy machine shifts what follows.
    """
    wanted = prompt(key, language)
    sound = _at_8_khz(heard, rate)
    missing = len(wanted) + PIECE - len(sound)
    if missing > PIECE + len(wanted) // 5:
        return 0.0
    if missing > 0:  # a BYE right after the prompt leaves its end in the phone's jitter buffer
        sound = np.pad(sound, (0, missing))
    starts = range(0, max(1, len(wanted) - PIECE // 2), PIECE)
    curves = [_curve(sound, wanted[start : start + PIECE]) for start in starts]
    shifts = [start // BLOCK for start in starts]
    length = min(len(curve) - shift for curve, shift in zip(curves, shifts, strict=True))
    return float(np.mean([curve[shift : shift + length] for curve, shift in zip(curves, shifts, strict=True)], 0).max())


def _curve(sound: Samples, piece: Samples) -> Samples:
    """How alike the piece and the sound are around each block of the sound."""
    size = 1 << (len(sound) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(piece, size)), size)
    energy = np.concatenate(([0.0], np.cumsum(sound**2)))
    norm = np.sqrt(np.maximum(energy[len(piece) :] - energy[: -len(piece)], 1e-3) * np.sum(piece**2))
    alike = np.abs(product[: len(norm)]) / norm
    blocks = alike[: len(alike) // BLOCK * BLOCK].reshape(-1, BLOCK).max(axis=1)
    padded = np.pad(blocks, SLACK)
    best: Samples = np.lib.stride_tricks.sliding_window_view(padded, 2 * SLACK + 1).max(axis=1)
    return best


def without_tones(samples: Samples, rate: int, tones: tuple[float, ...]) -> Samples:
    """The samples with these tones taken out, which others speak meanwhile."""
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    for tone in tones:
        spectrum[np.abs(frequencies - tone) < 4] = 0
    return np.fft.irfft(spectrum, len(samples))


def _at_8_khz(samples: Samples, rate: int) -> Samples:
    if rate == RATE:
        return samples
    spectrum = np.fft.rfft(samples)
    length = len(samples) * RATE // rate
    return np.fft.irfft(spectrum[: length // 2 + 1], length) * (RATE / rate)
