from __future__ import annotations

import array
import math
import wave
from pathlib import Path

import pytest

from dialroom.cli.sound import Sound, read_wav, tone_level


def sine(frequency: float, amplitude: float, seconds: float = 2.0, rate: int = 8000) -> list[float]:
    return [amplitude * math.sin(2 * math.pi * frequency * n / rate) for n in range(int(seconds * rate))]


def test_a_tone_is_found_at_its_level_and_others_are_not() -> None:
    sound = Sound(sine(440, 0.1), 8000)
    assert tone_level(sound, 440) == pytest.approx(-23.0, abs=0.2)
    assert tone_level(sound, 660) < -60


def test_a_tone_is_found_beside_another_and_though_it_is_there_only_half_the_time() -> None:
    both = [a + b for a, b in zip(sine(440, 0.1, 1), sine(660, 0.2, 1), strict=True)]
    sound = Sound(both + [0.0] * 8000, 8000)
    assert tone_level(sound, 440) == pytest.approx(-23.0, abs=0.5)
    assert tone_level(sound, 660) == pytest.approx(-17.0, abs=0.5)


def test_silence_has_no_tone() -> None:
    assert tone_level(Sound([0.0] * 8000, 8000), 440) == -96
    assert tone_level(Sound([], 8000), 440) == -96
    assert Sound([], 8000).level == -96


def test_a_recording_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(array.array("h", [int(32767 * s) for s in sine(440, 0.5, 1, 16000)]).tobytes())
    sound = read_wav(path)
    assert (sound.rate, sound.seconds) == (16000, 1.0)
    assert sound.level == pytest.approx(-9.0, abs=0.1)


def test_what_is_no_recording_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match="not a WAV"):
        read_wav(path)
