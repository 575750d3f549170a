"""Builders of rooms and newcomers, and a connection that remembers what it was told."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from dialroom.rooms.values import Newcomer, Participant, Room

_people = itertools.count(1)


def newcomer(name: str = "", **changes: Any) -> Newcomer:
    """A web guest with an identity of its own unless told otherwise."""
    number = next(_people)
    values: dict[str, Any] = {"kind": "web", "name": name or f"Guest {number}", "identity": f"guest-{number}"}
    return Newcomer(**{**values, **changes})


class RecordingConnection:
    """Keeps what it was told; `next` waits for the next thing."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._news: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    async def muted(self, muted: bool, by: str) -> None:
        self._note("muted", muted, by)

    async def hand_lowered(self) -> None:
        self._note("hand_lowered")

    async def removed(self, reason: str) -> None:
        self._note("removed", reason)

    async def moved(self, participant: Participant, room: Room) -> None:
        self._note("moved", participant, room)

    async def next(self) -> tuple[Any, ...]:
        return await asyncio.wait_for(self._news.get(), 5)

    def _note(self, *news: Any) -> None:
        self.told.append(news)
        self._news.put_nowait(news)
