"""What we say, in one language: prompts as things a leg can play."""

from __future__ import annotations

from collections.abc import Iterable

from dialroom.media.protocol import PlayClip, PlayItem
from dialroom.prompts.catalogue import Clip, Prompts


class Voice:
    """The prompts in the language of one caller."""

    def __init__(self, prompts: Prompts, language: str) -> None:
        self._prompts = prompts
        self.language = prompts.negotiate(language)

    def say(self, *keys: str) -> list[PlayItem]:
        """The prompts of these keys, one after the other."""
        return _items(self._prompts.clip(self.language, key) for key in keys)

    def others(self, count: int) -> list[PlayItem]:
        """How many people are there besides the listener."""
        return _items(self._prompts.sentence(self.language, "others", count))

    def people(self, count: int) -> list[PlayItem]:
        """How many people are there, the listener among them."""
        return _items(self._prompts.sentence(self.language, "people", count))

    def in_language(self, language: str) -> Voice:
        """The same prompts in another language."""
        return Voice(self._prompts, language)


def _items(clips: Iterable[Clip]) -> list[PlayItem]:
    return [PlayClip(clip=clip.name) for clip in clips]
