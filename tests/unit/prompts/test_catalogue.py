"""Looking up prompts: languages, sentences, an operator's own files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dialroom.core.errors import ConfigError
from dialroom.prompts import Clip, PromptError, Prompts
from dialroom.prompts.catalogue import sentence_keys
from dialroom.prompts.keys import plural_category
from dialroom.prompts.wav import MAX_BYTES


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return Prompts.load()


def keys(clips: tuple[Clip, ...]) -> list[str]:
    return [clip.name.partition("@")[0] for clip in clips]


def wav(rate: int = 16000, channels: int = 1, encoding: int = 1, bits: int = 16, sound: bytes = b"\1\0" * 160) -> bytes:
    head = b"".join(n.to_bytes(2, "little") for n in (encoding, channels)) + rate.to_bytes(4, "little") + bytes(4)
    form = head + (channels * bits // 8).to_bytes(2, "little") + bits.to_bytes(2, "little")
    body = b"WAVEfmt " + len(form).to_bytes(4, "little") + form + b"LIST\3\0\0\0abc\0"
    body += b"data" + len(sound).to_bytes(4, "little") + sound
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_ten_languages_are_shipped(prompts: Prompts) -> None:
    assert prompts.languages() == ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "pt", "zh")


def test_a_clip_is_named_by_its_content(prompts: Prompts) -> None:
    clip = prompts.clip("de", "goodbye")
    data = clip.path.read_bytes()
    assert clip.name == f"de/goodbye@{hashlib.sha256(data).hexdigest()[:12]}"
    assert 400 < clip.duration_ms < 3000


@pytest.mark.parametrize(
    ("asked", "heard"),
    [("pt-BR", "pt"), ("PT_br", "pt"), ("zh-Hant-TW", "zh"), ("de", "de"), ("nl", "en"), ("", "en"), ("sounds", "en")],
)
def test_a_language_falls_back_to_its_parent_and_then_to_english(prompts: Prompts, asked: str, heard: str) -> None:
    assert prompts.negotiate(asked) == heard
    assert prompts.clip(asked, "goodbye") == prompts.clip(heard, "goodbye")
    assert prompts.sentence(asked, "people", 21) == prompts.sentence(heard, "people", 21)


def test_tones_and_music_need_no_language(prompts: Prompts) -> None:
    assert prompts.clip("ar", "hold_music") == prompts.clip("en", "hold_music")
    assert prompts.clip("en", "hold_music").duration_ms == 60_000


def test_an_unknown_key_is_refused_with_a_guess(prompts: Prompts) -> None:
    with pytest.raises(PromptError, match="did you mean 'goodbye'"):
        prompts.clip("en", "goodby")


@pytest.mark.parametrize(
    ("language", "key", "n", "clips"),
    [
        ("en", "muted", None, ["en/muted"]),
        ("en", "others", 0, ["en/you_are_the_first"]),
        ("en", "others", 1, ["en/others_one"]),
        ("en", "others", 3, ["en/others_before", "en/number_3", "en/others_after_other"]),
        ("en", "people", 0, ["en/only_you"]),
        ("en", "people", 1, ["en/only_you"]),
        ("en", "people", 1000, ["en/people_thousand"]),
        ("fr", "people", 21, ["fr/people_before", "fr/number_21_people", "fr/people_after_other"]),
        ("ar", "others", 2, ["ar/others_two"]),
        ("ar", "others", 5, ["ar/others_before", "ar/number_5", "ar/others_after_few"]),
        ("ar", "people", 15, ["ar/people_before", "ar/number_15", "ar/people_after_many"]),
        ("ar", "people", 100, ["ar/people_before", "ar/number_100", "ar/people_after_other"]),
        ("ja", "people", 2, ["ja/people_two"]),
        ("zh", "others", 2, ["zh/others_before", "zh/number_2_people", "zh/others_after_other"]),
    ],
)
def test_people_are_counted_as_the_language_does(
    prompts: Prompts, language: str, key: str, n: int | None, clips: list[str]
) -> None:
    assert keys(prompts.sentence(language, key, n)) == clips


def test_every_count_can_be_said_in_every_language(prompts: Prompts) -> None:
    for language in prompts.languages():
        for n in range(1002):
            for key in ("others", "people"):
                said = keys(prompts.sentence(language, key, n))
                assert all(name.startswith(f"{language}/") for name in said), (language, key, n)


def test_codes_and_numbers_are_read_out(prompts: Prompts) -> None:
    assert keys(prompts.digits("es", "70")) == ["es/number_7", "es/number_0"]
    assert keys(prompts.number("de-AT", 21)) == ["de/number_1_joined", "de/number_20"]


@pytest.mark.parametrize(("key", "n"), [("people", None), ("people", -1), ("muted", 3)])
def test_a_number_must_fit_its_sentence(key: str, n: int | None) -> None:
    with pytest.raises(PromptError):
        sentence_keys("en", key, n)


@pytest.mark.parametrize(
    ("n", "category"),
    [
        (0, "other"),
        (1, "one"),
        (2, "two"),
        (3, "few"),
        (10, "few"),
        (11, "many"),
        (99, "many"),
        (100, "other"),
        (103, "few"),
    ],
)
def test_arabic_has_six_plurals(n: int, category: str) -> None:
    assert plural_category("ar", n) == category


def test_an_operators_file_replaces_the_shipped_one_and_no_other(prompts: Prompts, tmp_path: Path) -> None:
    mine = put(tmp_path, "de/goodbye.wav", wav())
    own = Prompts.load(tmp_path)
    clip = own.clip("de", "goodbye")
    assert clip == Clip(f"de/goodbye@{hashlib.sha256(mine.read_bytes()).hexdigest()[:12]}", mine, 10)
    assert own.clip("de", "muted") == prompts.clip("de", "muted")
    assert own.clip("en", "goodbye") == prompts.clip("en", "goodbye")


def test_an_operator_may_give_a_region_its_own_file(tmp_path: Path) -> None:
    put(tmp_path, "pt-PT/goodbye.wav", wav())
    own = Prompts.load(tmp_path)
    assert own.negotiate("pt-PT") == "pt-PT"
    assert own.clip("pt-PT", "goodbye").name.startswith("pt-PT/")
    assert own.clip("pt-BR", "goodbye").name.startswith("pt/")
    assert keys(own.sentence("pt-PT", "people", 2)) == [
        "pt/people_before",
        "pt/number_2_people",
        "pt/people_after_other",
    ]


def test_a_new_language_is_used_as_far_as_it_goes_and_never_mixed_inside_a_sentence(tmp_path: Path) -> None:
    for key in ("goodbye", "people_before"):
        put(tmp_path, f"nl/{key}.wav", wav())
    own = Prompts.load(tmp_path)
    assert "nl" in own.languages()
    assert own.clip("nl", "goodbye").name.startswith("nl/")
    assert keys(own.sentence("nl", "people", 21))[0] == "en/people_before"
    for key in ("number_21", "people_after_other"):
        put(tmp_path, f"nl/{key}.wav", wav())
    own = Prompts.load(tmp_path)
    assert keys(own.sentence("nl", "people", 21)) == ["nl/people_before", "nl/number_21", "nl/people_after_other"]


def test_an_operator_may_bring_other_music(tmp_path: Path) -> None:
    put(tmp_path, "sounds/hold_music.wav", wav(rate=48000, sound=b"\0\1" * 48000))
    assert Prompts.load(tmp_path).clip("ja", "hold_music").duration_ms == 1000


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"ID3 not a wave", "not a WAV file"),
        (wav(channels=2), "2 channels"),
        (wav(rate=44100), "44100 Hz"),
        (wav(encoding=3, bits=32), "neither 16-bit PCM nor mu-law"),
        (wav(bits=24), "24 bits"),
        (wav(sound=b""), "no sound"),
        (wav()[:-1], "cut short"),
        (wav()[:30], "cut short"),
        (b"", "not a WAV file"),
        (wav(sound=bytes(MAX_BYTES)), "larger than 20 MB"),
    ],
)
def test_a_file_that_cannot_be_played_is_refused_with_advice(tmp_path: Path, data: bytes, why: str) -> None:
    path = put(tmp_path, "en/goodbye.wav", data)
    with pytest.raises(ConfigError, match=why) as refused:
        Prompts.load(tmp_path)
    assert str(path) in refused.value.detail
    assert refused.value.fix


def test_a_file_for_no_prompt_is_refused_with_a_guess(tmp_path: Path) -> None:
    put(tmp_path, "en/good_bye.wav", wav())
    with pytest.raises(ConfigError, match="did you mean 'goodbye'"):
        Prompts.load(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a folder"):
        Prompts.load(tmp_path / "absent")
