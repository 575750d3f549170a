"""The catalogue of prompts: which file says a key in a language, with an operator's own files before the shipped ones.

Clips are files with a name that changes with their content, so that the media plane needs each one once.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dialroom.core.errors import ConfigError
from dialroom.prompts.keys import COUNTED, NUMBER_LIMIT, PROMPTS, SOUNDS, plural_category, plural_keys
from dialroom.prompts.numbers import RULES, number_clips, spoken_digits, spoken_number
from dialroom.prompts.wav import MAX_BYTES, WavError, read_wav

AUDIO: Final = Path(__file__).parent / "audio"
DEFAULT_LANGUAGE: Final = "en"
SHARED: Final = "sounds"
"""The folder of what needs no language: tones and hold music."""


class PromptError(ValueError):
    """A prompt was asked for that does not exist: a mistake in our own code, not an operator's."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recorded piece. `name` is `<language>/<key>@<12 hex digits of its SHA-256>`: equal names, equal sound."""

    name: str
    path: Path
    duration_ms: int


class ShippedClip(msgspec.Struct, frozen=True):
    """A line of the manifest: hash of what it was made from, hash of the file, length in ms."""

    source: str
    sha256: str
    ms: int


class Manifest(msgspec.Struct, frozen=True):
    """`audio/manifest.json`, written by scripts/make_prompts.py: language → key → clip."""

    languages: dict[str, dict[str, ShippedClip]]


def sentence_keys(language: str, key: str, n: int | None = None) -> tuple[str, ...]:
    """The clips that say `key`, in order; `n` is the number in it, for the keys that count people.

    Raises:
        PromptError: a number is missing, negative, or given to a key that has none in it.
    """
    if key not in COUNTED:
        if n is not None:
            raise PromptError(f"prompt {key!r} has no number in it; only {', '.join(COUNTED)} have")
        return (key,)
    if n is None or n < 0:
        raise PromptError(f"prompt {key!r} counts people: give n, 0 or more")
    if n == 0 or (n == 1 and key == "people"):
        return ("you_are_the_first",) if key == "others" else ("only_you",)
    if n > NUMBER_LIMIT:
        return ("people_thousand",)
    category = plural_category(language, n)
    if category in ("one", "two"):
        return (f"{key}_{category}",)
    return (f"{key}_before", *spoken_number(language, n, people=True), f"{key}_after_{category}")


class Prompts:
    """All prompts of one server. Immutable once loaded; looking things up does no I/O."""

    def __init__(self, clips: Mapping[str, Mapping[str, Clip]]) -> None:
        self._clips = {language.lower(): dict(by_key) for language, by_key in clips.items()}
        self._tags = {language.lower(): language for language in clips if language != SHARED}

    @classmethod
    def load(cls, prompts_dir: Path | None = None) -> Prompts:
        """Read the manifest of the shipped prompts and an operator's `prompts_dir/<language>/<key>.wav`, if given.

        Raises:
            ConfigError: a file or folder in `prompts_dir` cannot be used.
        """
        manifest = msgspec.json.decode((AUDIO / "manifest.json").read_bytes(), type=Manifest)
        clips = {
            language: {key: _shipped(language, key, clip) for key, clip in by_key.items()}
            for language, by_key in manifest.languages.items()
        }
        if prompts_dir is not None:
            for language, key, clip in _own_clips(prompts_dir):
                clips.setdefault(language, {})[key] = clip
        return cls(clips)

    def languages(self) -> tuple[str, ...]:
        """Tags of the languages there are prompts in, sorted."""
        return tuple(sorted(self._tags.values()))

    def negotiate(self, wanted: str) -> str:
        """The language heard when `wanted`, a tag such as `pt-BR`, is asked for: English if all else fails."""
        for tag in _with_parents(wanted):
            if tag in self._tags:
                return self._tags[tag]
        return DEFAULT_LANGUAGE

    def clip(self, language: str, key: str) -> Clip:
        """What says `key` in `language`, else in its parent (pt-BR → pt), else in English; or a tone, by its key.

        Raises:
            PromptError: there is no such key in any of them.
        """
        for tag in (*_with_parents(language), DEFAULT_LANGUAGE, SHARED):
            if found := self._clips.get(tag, {}).get(key):
                return found
        raise PromptError(f"there is no prompt {key!r}{_guess(key)}")

    def sentence(self, language: str, key: str, n: int | None = None) -> tuple[Clip, ...]:
        """The clips that say a whole sentence, in order and all in one language, e.g. `sentence("fr", "people", 21)`.

        Raises:
            PromptError: no such key, or the number does not fit it.
        """
        return self._in_one_language(language, lambda base: sentence_keys(base, key, n))

    def digits(self, language: str, digits: str) -> tuple[Clip, ...]:
        """The clips that read out a code digit by digit.

        Raises:
            ValueError: something other than 0 to 9 is among them.
        """
        keys = spoken_digits(digits)
        return self._in_one_language(language, lambda base: keys)

    def number(self, language: str, n: int) -> tuple[Clip, ...]:
        """The clips that say a number.

        Raises:
            ValueError: `n` is not within 0 to 999.
        """
        return self._in_one_language(language, lambda base: spoken_number(base, n))

    def _in_one_language(self, language: str, keys_in: Callable[[str], tuple[str, ...]]) -> tuple[Clip, ...]:
        tags = tuple(_with_parents(language))
        keys = keys_in(tags[-1])
        pieces = [next((c[key] for t in tags if key in (c := self._clips.get(t, {}))), None) for key in keys]
        whole = tuple(piece for piece in pieces if piece is not None)
        if len(whole) == len(keys):
            return whole
        return tuple(self.clip(DEFAULT_LANGUAGE, key) for key in keys_in(DEFAULT_LANGUAGE))


def known_keys() -> frozenset[str]:
    """Every key a file can be given for, in any language."""
    keys = {*PROMPTS, *SOUNDS}
    for language in RULES:
        keys.update(plural_keys(language), number_clips(language))
    return frozenset(keys)


def _with_parents(tag: str) -> Iterator[str]:
    """A language tag in lower case, then the shorter ones it is a kind of: zh-hant-tw, zh-hant, zh (RFC 4647 §3.4)."""
    parts = tag.lower().replace("_", "-").split("-")
    for length in range(len(parts), 0, -1):
        yield "-".join(parts[:length])


def _shipped(language: str, key: str, clip: ShippedClip) -> Clip:
    return Clip(f"{language}/{key}@{clip.sha256[:12]}", AUDIO / language / f"{key}.wav", clip.ms)


def _own_clips(folder: Path) -> Iterator[tuple[str, str, Clip]]:
    if not folder.is_dir():
        raise ConfigError(f"prompts_dir: {folder} is not a folder", "Create it, or take the setting out.")
    keys = known_keys()
    for path in sorted(folder.glob("*/*.wav")):
        language, key = path.parent.name, path.stem
        if key not in keys:
            raise ConfigError(f"{path}: there is no prompt {key!r}{_guess(key)}", "Rename or remove the file.")
        yield language, key, _own_clip(language, key, path)


def _own_clip(language: str, key: str, path: Path) -> Clip:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        info = read_wav(data)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})", "Check its permissions.") from error
    except WavError as error:
        raise ConfigError(f"{path}: {error}", error.fix) from error
    return Clip(f"{language}/{key}@{hashlib.sha256(data).hexdigest()[:12]}", path, info.duration_ms)


def _guess(key: str) -> str:
    close = difflib.get_close_matches(key, known_keys(), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
