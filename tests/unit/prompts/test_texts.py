"""The text files and the audio made from them."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dialroom.prompts.catalogue import AUDIO
from dialroom.prompts.keys import PROMPTS, SOUNDS, plural_keys
from dialroom.prompts.numbers import RULES, number_clips
from dialroom.prompts.wav import MULAW, read_wav

ROOT = Path(__file__).resolve().parents[3]
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "pt", "zh")
MANIFEST: dict[str, dict[str, dict[str, Any]]] = json.loads((AUDIO / "manifest.json").read_text())["languages"]


def texts(language: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / "prompts" / f"{language}.toml").read_text("utf-8"))


def samples(path: Path) -> NDArray[np.float64]:
    """The sound, full scale 1.0; G.711 decoded here anew, by the table of ITU-T G.711 §3 (bias 33 on 14 bits)."""
    data = path.read_bytes()
    info = read_wav(data)
    assert (info.encoding, info.rate) == (MULAW, 8000)
    code = ~np.frombuffer(data[info.start : info.start + info.size], np.uint8) & 0xFF
    magnitude = ((2 * (code & 15).astype(float) + 33) * 2.0 ** (code >> 4 & 7) - 33) / 8192
    sound: NDArray[np.float64] = np.where(code & 0x80, -magnitude, magnitude)
    return sound


def loudness(sound: NDArray[np.float64]) -> float:
    """dBFS over the 20 ms pieces within 25 dB of the loudest one."""
    power = (sound[: sound.size - sound.size % 160].reshape(-1, 160) ** 2).mean(axis=1)
    return float(10 * np.log10(power[power > power.max() / 316].mean()))


def spoken_clips() -> Iterator[Path]:
    for language in LANGUAGES:
        yield from sorted((AUDIO / language).glob("*.wav"))


def test_there_is_a_text_file_for_each_of_the_ten_languages() -> None:
    assert sorted(path.stem for path in (ROOT / "prompts").glob("*.toml")) == sorted(LANGUAGES) == sorted(RULES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_has_a_text_in_every_language(language: str) -> None:
    assert set(texts(language)["prompts"]) == {*PROMPTS, *plural_keys(language)}
    assert all(text.strip() for text in texts(language)["prompts"].values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_menu_names_every_key_of_the_room(language: str) -> None:
    menu = texts(language)["prompts"]["menu"]
    numbers = texts(language)["numbers"]["plain"]
    written = {"zh": "零一二三四五六七八九", "ja": "〇一二三四五六七八九"}.get(language)
    arabic = {4: "أربعة", 6: "ستة", 7: "سبعة", 8: "ثمانية", 9: "تسعة"}
    for digit in (4, 6, 7, 8, 9):
        word = arabic[digit] if language == "ar" else written[digit] if written else numbers[digit]
        assert word in menu, digit


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_clip_has_a_file_and_every_file_is_a_clip(language: str) -> None:
    wanted = {*PROMPTS, *plural_keys(language), *number_clips(language)}
    assert set(MANIFEST[language]) == {path.stem for path in (AUDIO / language).glob("*.wav")} == wanted


def test_the_tones_and_the_music_are_there() -> None:
    assert set(MANIFEST["sounds"]) == {path.stem for path in (AUDIO / "sounds").glob("*.wav")} == set(SOUNDS)


def test_every_spoken_clip_is_as_loud_as_the_others_and_never_near_clipping() -> None:
    for path in spoken_clips():
        sound = samples(path)
        assert -21.5 < loudness(sound) < -19.5, path
        assert np.abs(sound).max() <= 10 ** (-3 / 20), path


def test_every_spoken_clip_begins_at_once_and_ends_in_a_short_silence() -> None:
    for path in spoken_clips():
        sound = np.abs(samples(path))
        begins = np.flatnonzero(sound > 0.004)[0] / 8
        ends = (sound.size - np.flatnonzero(sound > 0.004)[-1]) / 8
        assert begins < 40, path
        assert 50 <= ends < 140, path
        assert sound[-400:].max() == 0, path


def test_no_pause_inside_a_prompt_is_longer_than_a_breath() -> None:
    for path in spoken_clips():
        loud = np.flatnonzero(np.abs(samples(path)) > 0.005)
        assert np.diff(loud).max() / 8 < 500, path


def test_a_number_takes_no_longer_than_saying_it_does() -> None:
    for language in LANGUAGES:
        for key, clip in MANIFEST[language].items():
            if key.startswith("number_"):
                assert 200 <= clip["ms"] <= 1700, (language, key)


def test_the_hold_music_is_quiet_and_loops_without_a_seam() -> None:
    music = samples(AUDIO / "sounds" / "hold_music.wav")
    assert music.size == 60 * 8000
    assert -29 < 10 * np.log10((music**2).mean()) < -25
    seam = abs(music[0] - music[-1])
    assert seam <= np.abs(np.diff(music)).max()
    silent = (music.reshape(-1, 4000) ** 2).mean(axis=1)
    assert silent.min() > 1e-5


def test_the_entry_tone_is_short_and_rises() -> None:
    def pitch(sound: NDArray[np.float64]) -> float:
        return float(np.abs(np.fft.rfft(sound, 8000)).argmax())

    sound = samples(AUDIO / "sounds" / "entry_tone.wav")
    assert sound.size < 4000
    assert pitch(sound[-1200:]) > pitch(sound[:1200])


def test_everything_together_stays_small() -> None:
    assert sum(path.stat().st_size for path in AUDIO.glob("*/*.wav")) < 17_500_000


def run_script(*arguments: str, texts: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "import sys, pathlib; sys.path.insert(0, 'scripts'); import make_prompts as m\n"
    if texts is not None:
        code += f"m.TEXTS = pathlib.Path({str(texts)!r})\n"
    code += f"sys.exit(m.main({list(arguments)!r}))"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_shipped_audio_is_what_the_texts_ask_for() -> None:
    result = run_script("--check")
    assert result.returncode == 0, result.stderr


@pytest.fixture
def own_texts(tmp_path: Path) -> Path:
    for path in (ROOT / "prompts").glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_changed_text_is_found_until_it_is_rendered(own_texts: Path) -> None:
    english = own_texts / "en.toml"
    english.write_text(english.read_text().replace('goodbye = "Goodbye."', 'goodbye = "Good night."'))
    result = run_script("--check", texts=own_texts)
    assert result.returncode == 1
    assert result.stderr.strip() == "en/goodbye: its text or voice has changed; run scripts/make_prompts.py"


def test_a_missing_text_is_named(own_texts: Path) -> None:
    french = own_texts / "fr.toml"
    french.write_text("".join(line for line in french.read_text().splitlines(True) if not line.startswith("goodbye")))
    result = run_script("--check", texts=own_texts)
    assert result.returncode == 1
    assert "fr.toml: add ['goodbye'], take out nothing" in result.stderr


def test_kanji_without_a_reading_are_refused(own_texts: Path) -> None:
    japanese = own_texts / "ja.toml"
    japanese.write_text(japanese.read_text().replace('goodbye = "しつれい いたします。"\n', ""))
    result = run_script("--check", texts=own_texts)
    assert result.returncode == 1
    assert "kanji" in result.stderr
    assert "[readings]" in result.stderr


def test_a_voice_that_takes_far_too_long_for_its_text_is_found(own_texts: Path) -> None:
    german = own_texts / "de.toml"
    german.write_text(german.read_text().replace("[0.048, 0.115]", "[0.01, 0.02]"))
    result = run_script("--check", texts=own_texts)
    assert result.returncode == 1
    assert "de/welcome_enter_code" in result.stderr
    assert "not plausible" in result.stderr
