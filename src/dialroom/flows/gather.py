"""Asking for digits: a prompt that can be talked into, and an entry that ends by itself when it can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dialroom.flows.leg import Leg
from dialroom.media.protocol import PlayItem

MAX_DIGITS = 20
"""Longer entries than any code or PIN end here, so that a stuck key cannot grow one without bound."""


async def gather(
    leg: Leg,
    prompt: Sequence[PlayItem],
    *,
    first_digit: float,
    pause: float,
    complete: Callable[[str], Awaitable[bool]] | None = None,
) -> str:
    """Plays ``prompt`` and returns the digits typed, empty if there were none.

    The caller may type before and while the prompt plays. The entry ends with ``#``, after ``pause`` seconds without a
    digit (``first_digit`` before the first), or when ``complete`` says so. ``*`` starts it anew. A ``#`` before any
    digit is the end of the entry before this one and means nothing.
    """
    await _play_until_digit(leg, prompt)
    entered = ""
    while len(entered) < MAX_DIGITS:
        digit = await leg.next_digit(within=pause if entered else first_digit)
        if digit is None:
            break
        if digit == "#":
            if entered:
                break
            await _play_until_digit(leg, prompt)
        elif digit == "*":
            entered = ""
        elif digit.isdigit():
            entered += digit
            if complete is not None and await complete(entered):
                break
    return entered


async def _play_until_digit(leg: Leg, prompt: Sequence[PlayItem]) -> None:
    if prompt:
        await leg.play(prompt, barge_in=True)
