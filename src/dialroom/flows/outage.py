"""While the database is away, a caller is asked to wait instead of being hung up on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dialroom.core.errors import StoreUnavailable
from dialroom.flows.conversation import Conversation, TurnedAwayError

T = TypeVar("T")


async def through_outage(c: Conversation, ask: Callable[[], Awaitable[T]]) -> T:
    """What ``ask`` gives, asked again while the database is away. Raises `TurnedAwayError` when that lasts."""
    now = asyncio.get_running_loop().time
    until = now() + c.settings.outage_limit
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            if now() >= until:
                raise TurnedAwayError("store_unavailable", "error_hang_up") from None
        await c.leg.play(c.voice.say("one_moment"))
        await asyncio.sleep(c.settings.outage_pause)
