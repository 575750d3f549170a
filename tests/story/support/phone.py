"""A phone that follows a script: what its caller presses, and what it heard when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dialroom.flows.leg import LegGoneError, Place, Played
from dialroom.media.plane import MediaLost
from dialroom.media.protocol import PlayClip, PlayItem, PlaySilence, PlayTone

CLIP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A prompt (its key) and when it began."""

    prompt: str
    at: float
    language: str


class ScriptedPhone:
    """A `Leg`. Every clip lasts `CLIP_SECONDS`."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.others_heard: list[str] = []
        self.answered = False
        self.hung_up: str | None = None
        self.hung_up_at = 0.0
        self.bridge: str | None = None
        self.participant: str | None = None
        self.is_muted = False
        self.gains: list[float] = []
        self.handed_over = False
        self.gone = False
        self.lost = False
        self.media_away = False
        self.asked_in_vain = asyncio.Event()
        self.put_right: Callable[[Place], Awaitable[None]] | None = None
        self._digits: asyncio.Queue[str] = asyncio.Queue()
        self._typed = asyncio.Event()
        self._ends_at: float | None = None
        self._changed = asyncio.Condition()

    # --- what the test does ------------------------------------------------------------------------------------

    def press(self, digits: str) -> None:
        """The caller presses these keys, quickly."""
        for digit in digits:
            self._digits.put_nowait(digit)
        self._typed.set()

    async def hears(self, prompt: str, times: int = 1) -> Heard:
        """Waits until the prompt was begun that many times."""
        return await self._until(lambda: [each for each in self.heard if each.prompt == prompt][times - 1 : times])

    async def is_in_a_bridge(self) -> None:
        """Waits until the caller is in a room."""
        await self._until(lambda: [Heard("", 0, "")] if self.bridge else [])

    @property
    def prompts(self) -> list[str]:
        """All prompts begun, in order."""
        return [each.prompt for each in self.heard]

    async def _until(self, condition: Callable[[], list[Heard]]) -> Heard:
        async with asyncio.timeout(7200):
            async with self._changed:
                while not (found := condition()):
                    await self._changed.wait()
        return found[0]

    # --- Leg ---------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return "leg_story"

    @property
    def playing(self) -> bool:
        return self._ends_at is not None and self._ends_at > self._now()

    async def answer(self) -> None:
        self._check()
        self.answered = True

    async def reject(self, status: int, reason: str) -> None:
        raise NotImplementedError

    async def play(self, items: Sequence[PlayItem], *, barge_in: bool = False) -> Played:
        self._check()
        if barge_in and not self._digits.empty():
            return "interrupted"
        await self._begin(items)
        self._typed.clear()
        seconds = sum(map(_seconds, items))
        self._ends_at = self._now() + seconds
        if not barge_in:
            await asyncio.sleep(seconds)
            return "finished"
        try:
            await asyncio.wait_for(self._typed.wait(), seconds)
        except TimeoutError:
            return "finished"
        return "interrupted"

    async def start_playing(self, items: Sequence[PlayItem], *, loop: bool = False) -> None:
        self._check()
        self._ends_at = float("inf") if loop else self._now() + sum(map(_seconds, items))
        await self._begin(items)

    async def stop(self) -> None:
        self._check()
        self._ends_at = None

    async def next_digit(self, within: float | None = None) -> str | None:
        try:
            return await asyncio.wait_for(self._digits.get(), within)
        except TimeoutError:
            return None

    def forget_digits(self) -> None:
        while not self._digits.empty():
            self._digits.get_nowait()

    async def join(self, bridge: str, participant: str, *, muted: bool) -> None:
        self._check()
        self.bridge, self.participant, self.is_muted = bridge, participant, muted
        await self._tell()

    async def leave(self) -> None:
        self._check()
        self.bridge = self.participant = None
        await self._tell()

    async def mute(self, muted: bool) -> None:
        self._check()
        self.is_muted = muted

    async def gain(self, decibels: float) -> None:
        self._check()
        self.gains.append(decibels)

    async def tell_others(self, items: Sequence[PlayItem]) -> None:
        self._check()
        self.others_heard.extend(_key(item) for item in items)

    def when_back(self, put_right: Callable[[Place], Awaitable[None]]) -> None:
        self.put_right = put_right

    async def hang_up(self, reason: str) -> None:
        self.hung_up, self.hung_up_at = reason, self._now()
        self.gone = True

    def _check(self) -> None:
        if self.gone:
            raise LegGoneError
        if self.media_away:
            self.asked_in_vain.set()
            raise MediaLost("no link to the media process")

    async def _begin(self, items: Sequence[PlayItem]) -> None:
        at = self._now()
        for item in items:
            if isinstance(item, PlayClip):
                self.heard.append(Heard(_key(item), at, item.clip.split("/")[0]))
            at += _seconds(item)
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _seconds(item: PlayItem) -> float:
    return item.duration / 1000 if isinstance(item, PlaySilence | PlayTone) else CLIP_SECONDS


def _key(item: PlayItem) -> str:
    assert isinstance(item, PlayClip)
    return item.clip.split("/")[1].split("@")[0]
