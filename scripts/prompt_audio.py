"""Sound for scripts/make_prompts.py: run a voice, trim and level what it says, and write mu-law WAV files."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8000
SPEECH_DBFS = -20.0
PEAK_DBFS = -3.0
TAIL_MS = 50
PAUSE_MS = 350
_TO_FLOATS = ("-t", "raw", "-e", "floating-point", "-b", "32", "-c", "1", "-", "highpass", "100", "rate", "-v")
Sound = NDArray[np.float64]


def say(engine: str, voice: str, speed: int, text: str) -> Sound:
    """Speak `text` by a separate program (its licence stays its own) and return it at RATE, ready to ship.

    `speed` is words per minute for espeak-ng, per cent of the voice's own pace for flite.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.wav"
        if engine == "flite":
            stretch = f"duration_stretch={100 / speed:.3f}"
            subprocess.run(["flite", "-voice", voice, "--setf", stretch, "-t", text, "-o", str(raw)], check=True)
        elif engine == "espeak-ng":
            command = ["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(raw), "--stdin"]
            subprocess.run(command, input=text.encode(), check=True)
        else:
            raise SystemExit(f"unknown voice engine {engine!r}: use flite or espeak-ng")
        converted = subprocess.run(
            [
                "sox",
                "-D",
                raw,
                *["-t", "raw", "-e", "floating-point", "-b", "32", "-c", "1", "-", "highpass", "100", "rate", "-v"],
                str(RATE),
            ],
            check=True,
            capture_output=True,
        ).stdout
    return level(trim(np.frombuffer(converted, np.float32).astype(np.float64)))


def trim(sound: Sound) -> Sound:
    """Cut silence off both ends (40 dB below the loudest 10 ms), keep 10 and 30 ms of it, fade, add TAIL_MS.

    Pauses inside are shortened to PAUSE_MS.
    """
    frame = RATE // 100
    power = _power(sound, frame)
    loud = np.flatnonzero(power > power.max() * 1e-4)
    keep = np.zeros(len(power), bool)
    keep[max(0, loud[0] - 1) : loud[0]] = True
    for begin, end in zip(loud, [*loud[1:], loud[-1] + 4], strict=True):
        keep[begin : min(end, begin + PAUSE_MS // 10)] = True
    kept = sound[: len(power) * frame][np.repeat(keep, frame)[: sound.size]]
    fade = np.linspace(0.0, 1.0, frame // 2)
    kept[: fade.size] *= fade
    kept[-fade.size :] *= fade[::-1]
    return np.concatenate([kept, np.zeros(RATE * TAIL_MS // 1000)])


def speech_dbfs(sound: Sound) -> float:
    """RMS level in dBFS of the frames in which there is speech (within 25 dB of the loudest 20 ms)."""
    power = _power(sound, RATE // 50)
    return float(10 * np.log10(power[power > power.max() * 10**-2.5].mean()))


def peak_dbfs(sound: Sound) -> float:
    """Greatest sample in dBFS."""
    return float(20 * np.log10(np.abs(sound).max()))


def level(sound: Sound) -> Sound:
    """Bring speech to SPEECH_DBFS, and hold peaks below PEAK_DBFS by a look-ahead gain that moves over 5 ms."""
    sound = sound * 10 ** ((SPEECH_DBFS - speech_dbfs(sound)) / 20)
    ceiling = 10 ** ((PEAK_DBFS - 0.3) / 20)  # mu-law rounds loud samples by up to 2 %
    wanted = np.minimum(1.0, ceiling / np.maximum(np.abs(sound), 1e-9))
    reach = RATE * 5 // 1000
    held = np.lib.stride_tricks.sliding_window_view(np.pad(wanted, 2 * reach, mode="edge"), 2 * reach + 1).min(axis=1)
    window = np.hanning(2 * reach + 3)[1:-1]
    return sound * np.convolve(held, window / window.sum(), mode="valid")


def encode_mulaw(sound: Sound) -> bytes:
    """G.711 mu-law by the segment rule (bias 132 on 16-bit samples)."""
    linear = np.clip(np.round(sound * 32768), -32635, 32635).astype(np.int32)
    magnitude = np.abs(linear) + 132
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (segment + 3)) & 0x0F
    code = (segment << 4) | mantissa | np.where(linear < 0, 0x80, 0)
    return bytes((~code & 0xFF).astype(np.uint8))


def decode_mulaw(data: bytes) -> Sound:
    """The inverse of `encode_mulaw`."""
    code = ~np.frombuffer(data, np.uint8).astype(np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 132) << ((code >> 4) & 7)) - 132
    return np.where(code & 0x80, -magnitude, magnitude) / 32768


def wav(sound: Sound) -> bytes:
    """A mono mu-law WAV file at RATE."""
    data = encode_mulaw(sound)
    body = b"WAVE" + _chunk(b"fmt ", _ints(2, 7, 1) + _ints(4, RATE, RATE) + _ints(2, 1, 8, 0))
    body += _chunk(b"fact", _ints(4, len(data))) + _chunk(b"data", data)
    return b"RIFF" + _ints(4, len(body)) + body


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + _ints(4, len(body)) + body + b"\0" * (len(body) % 2)


def _ints(size: int, *values: int) -> bytes:
    return b"".join(value.to_bytes(size, "little") for value in values)


def _power(sound: Sound, frame: int) -> Sound:
    padded = np.pad(sound, (0, -sound.size % frame))
    return np.asarray((padded.reshape(-1, frame) ** 2).mean(axis=1))
