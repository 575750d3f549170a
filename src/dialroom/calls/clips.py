"""Prompts in the media plane: put there when first needed, once per media process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from dialroom.media.plane import MediaPlane
from dialroom.media.protocol import PlayClip, PlayItem, PlaySilence, PlayTone, Snapshot
from dialroom.prompts.catalogue import Clip, Prompts


class ClipShelf:
    """Knows which clips the media process has, and brings it those it has not."""

    def __init__(self, media: MediaPlane, prompts: Prompts) -> None:
        self._media = media
        self._prompts = prompts
        self._there: dict[str, asyncio.Task[None]] = {}
        self._known: set[str] = set()
        self._unlisten = media.listen_link(self._linked)

    def close(self) -> None:
        """Stops following the link."""
        self._unlisten()

    async def ensure(self, items: Iterable[PlayItem]) -> None:
        """Returns when the media process can play all of these. Raises `MediaError`, and `OSError` for a lost file."""
        missing = {item.clip for item in items if isinstance(item, PlayClip)} - self._known
        for name in missing:
            task = self._there.get(name)
            if task is None or task.done():
                task = self._there[name] = asyncio.create_task(self._bring(name))
            await asyncio.shield(task)

    def seconds(self, items: Iterable[PlayItem]) -> float:
        """How long the items last."""
        return sum(self._milliseconds(item) for item in items) / 1000

    def holds(self, snapshot: Snapshot) -> None:
        """The media process says what it has."""
        self._known = set(snapshot.clips)
        self._there.clear()

    def _linked(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            self.holds(snapshot)

    async def _bring(self, name: str) -> None:
        clip = self._find(name)
        audio = await asyncio.to_thread(Path.read_bytes, clip.path)
        await self._media.put_clip(name, audio)
        self._known.add(name)

    def _find(self, name: str) -> Clip:
        language, _, rest = name.partition("/")
        return self._prompts.clip(language, rest.partition("@")[0])

    def _milliseconds(self, item: PlayItem) -> int:
        match item:
            case PlayClip(clip=name):
                return self._find(name).duration_ms
            case PlaySilence(duration=duration) | PlayTone(duration=duration):
                return duration
