"""Digits typed at a prompt, on a phone that follows a script."""

from __future__ import annotations

import asyncio

import pytest

from dialroom.flows.gather import MAX_DIGITS, gather
from dialroom.media.protocol import PlayClip
from tests.story.support.phone import ScriptedPhone

PROMPT = [PlayClip(clip="en/enter_code@0")]


async def typed(keys: str, wanted: str = "") -> str:
    """What is gathered from these keys; ``wanted`` completes the entry."""
    phone = ScriptedPhone()
    phone.press(keys)

    async def complete(entered: str) -> bool:
        return entered == wanted

    return await gather(phone, PROMPT, first_digit=0.01, pause=0.01, complete=complete if wanted else None)


@pytest.mark.parametrize(
    ("keys", "entered"),
    [
        ("123#", "123"),
        ("123", "123"),
        ("", ""),
        ("#123#", "123"),
        ("99*123#", "123"),
        ("12A3#", "123"),
        ("123#456", "123"),
    ],
)
async def test_an_entry_ends_with_pound_or_silence_and_star_begins_anew(keys: str, entered: str) -> None:
    assert await typed(keys) == entered


async def test_an_entry_that_is_complete_ends_by_itself() -> None:
    assert await typed("123456", wanted="1234") == "1234"


async def test_an_entry_does_not_grow_without_bound() -> None:
    assert await typed("7" * 100) == "7" * MAX_DIGITS


async def test_digits_typed_before_the_prompt_silence_it() -> None:
    phone = ScriptedPhone()
    phone.press("1#")
    await gather(phone, PROMPT, first_digit=0.01, pause=0.01)
    assert phone.heard == []


async def test_a_digit_stops_the_prompt() -> None:
    phone = ScriptedPhone()
    gathering = asyncio.create_task(gather(phone, PROMPT, first_digit=0.01, pause=0.01))
    await phone.hears("enter_code")
    phone.press("5#")
    async with asyncio.timeout(0.9):  # the prompt lasts a second
        assert await gathering == "5"
