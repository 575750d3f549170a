"""Make the spoken prompts: prompts/<language>.toml in, src/dialroom/prompts/audio/ out.

    python scripts/make_prompts.py            render what has changed
    python scripts/make_prompts.py --all      render everything
    python scripts/make_prompts.py --check    say whether the shipped audio is what the texts ask for; renders nothing

Rendering needs the programs flite, espeak-ng and sox (Debian packages of these names). They run as programs of their
own; only the sound they make is shipped. The same versions make the same bytes. The manifest keeps, for every clip,
a hash of all it was made from, so that an edited text is found by --check and rendered by the next run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "scripts")]

import prompt_audio  # noqa: E402
import prompt_sounds  # noqa: E402
from dialroom.prompts.keys import PROMPTS, SOUNDS, plural_keys  # noqa: E402
from dialroom.prompts.numbers import number_clips  # noqa: E402

TEXTS = ROOT / "prompts"
AUDIO = ROOT / "src" / "dialroom" / "prompts" / "audio"
RECIPE = "1"
"""Raise it when prompt_audio or prompt_sounds change what they make."""
NUMBER_SECONDS = (0.2, 2.6)
MIN_CHARACTERS = 14
"""Shorter texts tell nothing about a voice's pace."""


@dataclass(frozen=True)
class Piece:
    """One clip to be made: where it goes, what it is made from, how, and how long it may be (seconds)."""

    language: str
    key: str
    source: str
    make: Callable[[], prompt_audio.Sound]
    shortest: float
    longest: float

    @property
    def path(self) -> Path:
        return AUDIO / self.language / f"{self.key}.wav"


class MakeError(Exception):
    """The prompts cannot be made; says why, and what to do."""


def main(arguments: list[str]) -> int:
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only, render nothing")
    parser.add_argument("--all", action="store_true", help="render also what has not changed")
    options = parser.parse_args(arguments)
    try:
        pieces = list(all_pieces())
        if not options.check:
            render(pieces, everything=options.all)
    except MakeError as error:
        print(error, file=sys.stderr)
        return 1
    faults = check(pieces)
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        size = sum(piece.path.stat().st_size for piece in pieces)
        print(f"{len(pieces)} clips, {size / 1e6:.1f} MB: as the texts say")
    return 1 if faults else 0


def all_pieces() -> Iterator[Piece]:
    """Every clip there should be."""
    for path in sorted(TEXTS.glob("*.toml")):
        yield from language_pieces(path)
    for key in SOUNDS:
        seconds = (59.9, 60.1) if key == "hold_music" else (0.2, 0.6)
        yield Piece("sounds", key, fingerprint("sounds", key), getattr(prompt_sounds, key), *seconds)


def language_pieces(path: Path) -> Iterator[Piece]:
    """The clips of one language. Raises MakeError if its keys are not those of the catalogue."""
    content = tomllib.loads(path.read_text("utf-8"))
    language, voice = content["language"], content["voice"]
    texts = {**content["prompts"], **number_texts(content["numbers"])}
    wanted = {*PROMPTS, *plural_keys(language), *number_clips(language)}
    if texts.keys() != wanted:
        missing, unknown = sorted(wanted - texts.keys()), sorted(texts.keys() - wanted)
        raise MakeError(f"{path}: add {missing or 'nothing'}, take out {unknown or 'nothing'}")
    engine, name, speed = voice["engine"], voice["voice"], voice["speed"]
    least, most = voice["seconds_per_character"]
    for key, text in texts.items():
        spoken = spoken_text(language, content.get("readings", {}).get(key, text), content.get("respell", {}))
        length = letters(spoken)
        if key.startswith("number_"):
            bounds = NUMBER_SECONDS
        elif length < MIN_CHARACTERS:
            bounds = (0.1, 2.5)
        else:
            bounds = (least * length, most * length)
        source = fingerprint(engine, name, str(speed), spoken)
        yield Piece(language, key, source, _speaker(engine, name, speed, spoken), *bounds)


def number_texts(numbers: dict[str, Any]) -> dict[str, str]:
    """The words of the [numbers] table by clip."""
    plain = numbers["plain"]
    texts = {f"number_{n}": word for n, word in enumerate(plain)}
    texts |= {f"number_{len(plain) + n * 10}": word for n, word in enumerate(numbers.get("tens", []))}
    texts |= {f"number_{(n + 1) * 100}": word for n, word in enumerate(numbers["hundreds"])}
    for ending in ("people", "joined", "joined_people", "after_hundred"):
        texts |= {f"number_{n}_{ending}": word for n, word in numbers.get(ending, {}).items()}
    return texts


def spoken_text(language: str, text: str, respell: dict[str, str]) -> str:
    """What the voice is given: words respelled, and a comma after a text that is only part of a sentence."""
    text = re.sub(r"\w+", lambda word: respell.get(word[0], word[0]), text)
    if language == "ar":  # the voice wants shadda before the vowel sign; Unicode's canonical order is the reverse
        text = re.sub("([\u064b-\u0650])\u0651", "\u0651\\1", text)
    if language == "ja" and any("CJK" in unicodedata.name(character, "") for character in text):
        raise MakeError(f"prompts/ja.toml: {text!r} has kanji, which the voice cannot read; give it in [readings]")
    if text[-1] in ".!?。？！،,、।؟":
        return text
    return text + {"ja": "、", "ar": "،"}.get(language, ",")


def letters(text: str) -> int:
    """How many letters are in it; spaces, vowel signs, tone numbers and punctuation do not count."""
    return sum(unicodedata.category(character) in ("Lu", "Ll", "Lo", "Lm", "Mc") for character in text)


def fingerprint(*parts: str) -> str:
    """Short hash of all that a clip is made from."""
    return hashlib.sha256("\0".join((RECIPE, str(prompt_audio.RATE), *parts)).encode()).hexdigest()[:16]


def render(pieces: list[Piece], *, everything: bool) -> None:
    """Write the clips that are missing or out of date, remove those nobody asks for, write the manifest."""
    known = read_manifest()
    due = [p for p in pieces if everything or fault_of(p, known) is not None]
    absent = [program for program in ("flite", "espeak-ng", "sox") if shutil.which(program) is None]
    if due and absent:
        raise MakeError(f"{len(due)} clips to render, but {', '.join(absent)} not installed; apt-get install them")
    with ThreadPoolExecutor() as pool:
        for piece, data in zip(due, pool.map(lambda p: prompt_audio.wav(p.make()), due), strict=True):
            piece.path.parent.mkdir(parents=True, exist_ok=True)
            piece.path.write_bytes(data)
    for path in unwanted(pieces):
        path.unlink()
    manifest: dict[str, dict[str, dict[str, str | int]]] = {}
    for piece in sorted(pieces, key=lambda p: (p.language, p.key)):
        data = piece.path.read_bytes()
        entry: dict[str, str | int] = {
            "source": piece.source,
            "sha256": hashlib.sha256(data).hexdigest(),
            "ms": length_ms(data),
        }
        manifest.setdefault(piece.language, {})[piece.key] = entry
    lines = (f'"{language}": {{\n{_entries(clips)}\n}}' for language, clips in manifest.items())
    (AUDIO / "manifest.json").write_text('{"languages": {\n' + ",\n".join(lines) + "\n}}\n")
    print(f"rendered {len(due)} of {len(pieces)} clips")


def check(pieces: list[Piece]) -> list[str]:
    """What is wrong with the shipped audio, a line each."""
    known = read_manifest()
    faults = [fault for piece in pieces if (fault := fault_of(piece, known)) is not None]
    for piece in pieces:
        seconds = known.get(piece.language, {}).get(piece.key, {}).get("ms", 0) / 1000
        if not piece.shortest <= seconds <= piece.longest:
            faults.append(
                f"{piece.language}/{piece.key}: {seconds:.2f} s is not plausible"
                f" ({piece.shortest:.2f} to {piece.longest:.2f} s); listen to it; give the voice a reading it can say"
            )
    faults += [
        f"{path.relative_to(AUDIO)}: no text asks for it; run scripts/make_prompts.py" for path in unwanted(pieces)
    ]
    return faults


def fault_of(piece: Piece, known: dict[str, dict[str, dict[str, Any]]]) -> str | None:
    """Why the shipped clip is not the one its text asks for, if so."""
    name, entry = f"{piece.language}/{piece.key}", known.get(piece.language, {}).get(piece.key)
    if entry is None or not piece.path.is_file():
        return f"{name}: not rendered yet; run scripts/make_prompts.py"
    if entry["source"] != piece.source:
        return f"{name}: its text or voice has changed; run scripts/make_prompts.py"
    if hashlib.sha256(piece.path.read_bytes()).hexdigest() != entry["sha256"]:
        return f"{name}: the file is not the one that was rendered; run scripts/make_prompts.py"
    return None


def unwanted(pieces: list[Piece]) -> list[Path]:
    """Audio files that belong to no piece."""
    return sorted(set(AUDIO.glob("*/*.wav")) - {piece.path for piece in pieces})


def read_manifest() -> dict[str, dict[str, dict[str, Any]]]:
    """Language → key → entry; empty before the first run."""
    path = AUDIO / "manifest.json"
    content: dict[str, dict[str, dict[str, dict[str, Any]]]] = json.loads(path.read_text()) if path.is_file() else {}
    return content.get("languages", {})


def length_ms(data: bytes) -> int:
    """Length of a file written by prompt_audio.wav."""
    size = int.from_bytes(data[data.index(b"data") + 4 :][:4], "little")
    return size * 1000 // prompt_audio.RATE


def _speaker(engine: str, voice: str, speed: int, text: str) -> Callable[[], prompt_audio.Sound]:
    return lambda: prompt_audio.say(engine, voice, speed, text)


def _entries(clips: dict[str, dict[str, str | int]]) -> str:
    return ",\n".join(f'"{key}": {json.dumps(entry)}' for key, entry in clips.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
