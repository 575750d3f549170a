"""Asking for a code or a PIN until it is right, or the time for it is over: keys alone can go on for ever.

An unknown code and a wrong PIN are the same to the caller: the same words after the same time, out of the same number
of tries. While too much has been guessed, no entry is looked at, not even to end it early. An entry that ends early
tells that it is right, so one that was looked at and then taken back, or hung up on, is a wrong guess too.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from dialroom.core.errors import StoreUnavailable
from dialroom.flows.conversation import Attempt, Conversation, Guesses, TurnedAwayError
from dialroom.flows.gather import gather
from dialroom.flows.outage import through_outage
from dialroom.flows.stages import AskingCode, AskingPin
from dialroom.media.protocol import PlayItem
from dialroom.rooms.codes import MIN_CODE
from dialroom.rooms.values import CodeMatch, Room

T = TypeVar("T")


@dataclass(slots=True)
class Tries:
    """Wrong entries so far in this call, and the stage they are kept in for another process."""

    wrong: int = 0
    stage: AskingCode | AskingPin = field(default_factory=AskingCode)


class Glimpse:
    """Looks at the digits typed so far, where they may be a code, to end an entry that can only mean one room. One row
    of digits an entry: after ``*`` begins another, only pound or silence ends it."""

    def __init__(self, guesses: Guesses, look: Callable[[str], Awaitable[CodeMatch]]) -> None:
        self._guesses = guesses
        self._look = look
        self._attempt: Attempt | None = None
        self._next_length = MIN_CODE
        self._seen = ""

    async def complete(self, digits: str) -> bool:
        """Whether the entry may end here."""
        if not 0 < self._next_length <= len(digits) or not digits.startswith(self._seen):
            return False
        self._next_length = 0
        try:
            if self._attempt is None:
                self._attempt = await self._guesses.begin(early=True)
            if self._attempt is None:
                return False
            self._seen = digits
            match = await self._look(digits)
        except StoreUnavailable:
            return False  # the whole entry is looked at when the database is back
        self._next_length = match.next_length
        return match.kind == "complete"

    async def attempt(self, entered: str) -> Attempt | None:
        """The attempt that what was entered in the end is part of. One that was looked at in vain was wrong."""
        attempt, self._attempt = self._attempt, None
        if attempt is None or entered.startswith(self._seen):
            return attempt
        await attempt.wrong()
        return None

    async def take_back(self) -> None:
        """Nothing was tried: the caller will be asked again by the next process, and never knew that we looked."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            await attempt.right()


async def ask_for_code(c: Conversation, tries: Tries, prompt: list[PlayItem]) -> Room:
    """Asks until a code is right. Raises `TurnedAwayError` after too many wrong or empty answers."""

    seen: dict[str, CodeMatch] = {}

    async def look(digits: str) -> CodeMatch:
        seen.clear()
        seen[digits] = await c.rooms.match_code(c.number, digits)
        return seen[digits]

    async def find(digits: str) -> Room | None:
        match = seen.pop(digits, None) or await c.rooms.match_code(c.number, digits)
        return match.room

    tries.stage = AskingCode(wrong=tries.wrong)
    await c.journal.reached(tries.stage, "code_asked")
    room = await _ask(c, tries, "code", prompt, find, look)
    await c.journal.note("code_accepted", room.id)
    return room


async def ask_for_pin(c: Conversation, room: Room, tries: Tries) -> None:
    """Asks until the room's PIN is right. Raises `TurnedAwayError` after too many wrong or empty answers."""

    async def check(digits: str) -> bool | None:
        return c.rooms.check_pin(room, digits) or None

    tries.stage = AskingPin(room=room.id, wrong=tries.wrong)
    await c.journal.reached(tries.stage, "pin_asked")
    c = dataclasses.replace(c, guesses=c.guesses.of_pin(room.id))
    await _ask(c, tries, "pin", c.voice.say("enter_pin"), check)
    await c.journal.note("pin_accepted")


async def _ask(
    c: Conversation,
    tries: Tries,
    what: str,
    prompt: list[PlayItem],
    look_up: Callable[[str], Awaitable[T | None]],
    look: Callable[[str], Awaitable[CodeMatch]] | None = None,
) -> T:
    left = c.settings.entry_limit - (c.clock.now() - c.began).total_seconds()
    limit = asyncio.timeout(max(0.0, left))
    try:
        async with limit:
            return await _ask_until_right(c, tries, what, prompt, look_up, look)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TurnedAwayError("entry_limit", "try_again_later") from None


async def _ask_until_right(
    c: Conversation,
    tries: Tries,
    what: str,
    prompt: list[PlayItem],
    look_up: Callable[[str], Awaitable[T | None]],
    look: Callable[[str], Awaitable[CodeMatch]] | None,
) -> T:
    silences = 0
    while True:
        entered, attempt = await _entered(c, prompt, None if look is None else Glimpse(c.guesses, look))
        if entered:
            found = await _judge(c, tries, what, entered, attempt, look_up)
            if found is not None:
                return found
            prompt = c.voice.say("wrong_code")
            continue
        silences += 1
        await c.journal.note("nothing_entered")
        if silences >= c.settings.tries:
            raise TurnedAwayError("nothing_entered", "nothing_entered")
        prompt = c.voice.say("nothing_entered", f"enter_{what}")


async def _entered(c: Conversation, prompt: list[PlayItem], glimpse: Glimpse | None) -> tuple[str, Attempt | None]:
    times = c.settings
    if glimpse is None:
        return await gather(c.leg, prompt, first_digit=times.first_digit, pause=times.pause), None
    try:
        entered = await gather(
            c.leg, prompt, first_digit=times.first_digit, pause=times.pause, complete=glimpse.complete
        )
    except BaseException:  # the caller hangs up, among others
        await (glimpse.take_back() if c.leg.handed_over else glimpse.attempt(""))
        raise
    return entered, await glimpse.attempt(entered)


async def _judge(
    c: Conversation,
    tries: Tries,
    what: str,
    entered: str,
    attempt: Attempt | None,
    look_up: Callable[[str], Awaitable[T | None]],
) -> T | None:
    time = asyncio.get_running_loop().time
    verdict_at = time() + c.settings.verdict
    if attempt is None:
        delay = await through_outage(c, c.guesses.delay)
        if delay is not None:
            verdict_at += delay
            await asyncio.sleep(delay)
            attempt = await through_outage(c, c.guesses.begin)
    if attempt is None:
        await _until(verdict_at)
        raise TurnedAwayError("too_many_guesses", "try_again_later")
    found = await _look_up(c, attempt, entered, look_up)
    if found is not None:
        return found
    tries.wrong += 1
    tries.stage = replace(tries.stage, wrong=tries.wrong)
    await c.journal.reached(tries.stage, f"{what}_wrong", f"try {tries.wrong} of {c.settings.tries}")
    await _until(verdict_at)
    if tries.wrong >= c.settings.tries:
        raise TurnedAwayError(f"wrong_{what}", "try_again_later")
    return None


async def _look_up(
    c: Conversation, attempt: Attempt, entered: str, look_up: Callable[[str], Awaitable[T | None]]
) -> T | None:
    found = None
    try:
        found = await through_outage(c, lambda: look_up(entered))
    finally:  # also when the caller hangs up meanwhile
        await (attempt.wrong() if found is None else attempt.right())
    return found


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))
