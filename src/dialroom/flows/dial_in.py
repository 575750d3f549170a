"""The way into a room by phone: code, PIN, waiting, a seat. Read it from `dial_in` downwards.

An unknown code and a wrong PIN are the same to the caller: the same words after the same time, out of the same number
of tries. While too much has been guessed, no entry is looked at, not even to end it early. An entry that ends early
tells that it is right, so one that was looked at and then taken back, or hung up on, is a wrong guess too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from dialroom.core.errors import NotFound, RoomEnded, RoomFull, RoomLocked, RoomNotOpen
from dialroom.flows.conversation import Conversation, TurnedAwayError
from dialroom.flows.gather import gather
from dialroom.flows.room_keys import RoomLine, seat_again, stay_in_room
from dialroom.flows.stages import AskingCode, AskingPin, InRoom, Leaving, Stage, Waiting
from dialroom.media.protocol import PlayItem
from dialroom.rooms.codes import MIN_CODE
from dialroom.rooms.values import Participant, Room

T = TypeVar("T")


async def dial_in(c: Conversation, stage: Stage, straight_into: str | None = None) -> str:
    """The whole conversation, from ``stage`` on. Returns the reason it ended with; the leg is hung up then.

    ``straight_into`` is the room (an id) a number leads into without asking for a code.
    """
    await c.leg.answer()
    try:
        if isinstance(stage, Leaving):
            return await _hang_up(c, stage.reason)
        tries = Tries(stage.wrong if isinstance(stage, AskingCode | AskingPin) else 0)
        room = await _find_room(c, stage, straight_into, tries)
        c = await c.speaking(room.language)
        return await _enter_and_stay(c, room, stage, tries)
    except TurnedAwayError as away:
        return await see_off(c, away)


async def see_off(c: Conversation, away: TurnedAwayError) -> str:
    """Says why, says goodbye, hangs up."""
    await c.journal.reached(Leaving(reason=away.reason), away.reason)
    await c.leg.play(c.voice.say(*away.prompts, "goodbye"))
    return await _hang_up(c, away.reason)


async def _hang_up(c: Conversation, reason: str) -> str:
    await c.leg.hang_up(reason)
    return reason


async def _find_room(c: Conversation, stage: Stage, straight_into: str | None, tries: Tries) -> Room:
    room_id = stage.room if isinstance(stage, AskingPin | Waiting | InRoom) else straight_into
    if room_id is None:
        again = isinstance(stage, AskingCode)
        return await ask_for_code(c, tries, c.voice.say("enter_code" if again else "welcome_enter_code"))
    try:
        room = await c.room(room_id)
    except NotFound:
        raise TurnedAwayError("room_ended", "meeting_ended") from None
    if not room.dial_in and not isinstance(stage, InRoom):
        raise TurnedAwayError("dial_in_off", "dial_in_off")
    return room


async def _enter_and_stay(c: Conversation, room: Room, stage: Stage, tries: Tries) -> str:
    line = RoomLine(c.leg)
    try:
        if isinstance(stage, InRoom):
            return await stay_in_room(c, seat_again(c, stage, line), line, stage.gain, fresh=False)
        if room.pin is not None and not isinstance(stage, Waiting):
            await ask_for_pin(c, room, tries)
        participant = await take_seat(c, room, line, stage)
        return await stay_in_room(c, participant, line)
    except TurnedAwayError as away:
        return await see_off(c, away)


# --- code and PIN ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tries:
    """Wrong entries so far in this call."""

    wrong: int = 0


class Glimpse:
    """Looks at the digits typed so far, to end an entry that can only mean one room. One row of digits an entry:
    after ``*`` begins another, only pound or silence ends it."""

    def __init__(self, settled: Callable[[str], Awaitable[bool]]) -> None:
        self._settled = settled
        self._seen = ""

    async def complete(self, digits: str) -> bool:
        """Whether the entry may end here."""
        if len(digits) < MIN_CODE or not digits.startswith(self._seen):
            return False
        self._seen = digits
        return await self._settled(digits)

    def in_vain(self, entered: str) -> bool:
        """Whether digits were looked at that are not part of what was entered in the end, and so not judged."""
        return not entered.startswith(self._seen)


async def ask_for_code(c: Conversation, tries: Tries, prompt: list[PlayItem]) -> Room:
    """Asks until a code is right. Raises `TurnedAwayError` after too many wrong or empty answers."""

    async def settled(digits: str) -> bool:
        return (await c.rooms.match_code(c.number, digits)).kind == "complete"

    async def find(digits: str) -> Room | None:
        return (await c.rooms.match_code(c.number, digits)).room

    await c.journal.reached(AskingCode(wrong=tries.wrong), "code_asked")
    room = await _ask(c, tries, "code", prompt, find, settled)
    await c.journal.note("code_accepted", room.id)
    return room


async def ask_for_pin(c: Conversation, room: Room, tries: Tries) -> None:
    """Asks until the room's PIN is right. Raises `TurnedAwayError` after too many wrong or empty answers."""

    async def check(digits: str) -> bool | None:
        return c.rooms.check_pin(room, digits) or None

    await c.journal.reached(AskingPin(room=room.id, wrong=tries.wrong), "pin_asked")
    await _ask(c, tries, "pin", c.voice.say("enter_pin"), check)
    await c.journal.note("pin_accepted")


async def _ask(
    c: Conversation,
    tries: Tries,
    what: str,
    prompt: list[PlayItem],
    look_up: Callable[[str], Awaitable[T | None]],
    settled: Callable[[str], Awaitable[bool]] | None = None,
) -> T:
    silences = 0
    while True:
        blocked = await c.guesses.check() is None
        entered = await _entered(c, prompt, None if blocked or settled is None else Glimpse(settled))
        if entered:
            found = await _judge(c, tries, what, entered, look_up)
            if found is not None:
                return found
            prompt = c.voice.say("wrong_code")
            continue
        silences += 1
        await c.journal.note("nothing_entered")
        if silences >= c.settings.tries:
            raise TurnedAwayError("nothing_entered", "nothing_entered")
        prompt = c.voice.say("nothing_entered", f"enter_{what}")


async def _entered(c: Conversation, prompt: list[PlayItem], glimpse: Glimpse | None) -> str:
    complete = glimpse.complete if glimpse else None
    entered = ""
    try:
        times = c.settings
        entered = await gather(c.leg, prompt, first_digit=times.first_digit, pause=times.pause, complete=complete)
    finally:  # also when the caller hangs up
        if glimpse is not None and glimpse.in_vain(entered):
            await c.guesses.wrong()
    return entered


async def _judge(
    c: Conversation, tries: Tries, what: str, entered: str, look_up: Callable[[str], Awaitable[T | None]]
) -> T | None:
    time = asyncio.get_running_loop().time
    entered_at = time()
    delay = await c.guesses.check()
    if delay is None:
        await _until(entered_at + c.settings.verdict)
        raise TurnedAwayError("too_many_guesses", "try_again_later")
    await asyncio.sleep(delay)
    found = await look_up(entered)
    if found is not None:
        return found
    tries.wrong += 1
    await c.guesses.wrong()
    await c.journal.note(f"{what}_wrong", f"try {tries.wrong} of {c.settings.tries}")
    await _until(entered_at + delay + c.settings.verdict)
    if tries.wrong >= c.settings.tries:
        raise TurnedAwayError(f"wrong_{what}", "try_again_later")
    return None


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))


# --- a seat ------------------------------------------------------------------------------------------------------


async def take_seat(c: Conversation, room: Room, line: RoomLine, stage: Stage) -> Participant:
    """Enters the room, waiting for it to open if need be. Raises `TurnedAwayError`."""
    limit = timedelta(seconds=c.settings.wait_limit)
    until = stage.until if isinstance(stage, Waiting) else c.clock.now() + limit
    resumed = isinstance(stage, Waiting)
    while True:
        try:
            return await c.meetings.enter(room, c.caller.newcomer(), line)
        except RoomNotOpen:
            await c.journal.reached(Waiting(room=room.id, until=until), "waiting", "the room is not open yet")
        except RoomLocked:
            raise TurnedAwayError("room_locked", "room_locked") from None
        except RoomFull:
            raise TurnedAwayError("room_full", "room_full") from None
        except RoomEnded:
            raise TurnedAwayError("room_ended", "meeting_ended") from None
        seconds = (until - c.clock.now()).total_seconds()
        await _wait_for_opening(c, room, seconds, music_plays=resumed and c.leg.playing)
        resumed = False


async def _wait_for_opening(c: Conversation, room: Room, seconds: float, *, music_plays: bool) -> None:
    pastime = asyncio.create_task(_pass_the_time(c, music_plays=music_plays))
    try:
        async with asyncio.timeout(seconds):
            await c.meetings.wait_until_open(room)
    except TimeoutError:
        raise TurnedAwayError("wait_limit", "waiting_limit_reached") from None
    except RoomEnded:
        raise TurnedAwayError("room_ended", "meeting_ended") from None
    finally:
        pastime.cancel()
        await asyncio.wait({pastime})
    await c.leg.stop()
    c.leg.forget_digits()


async def _pass_the_time(c: Conversation, *, music_plays: bool) -> None:
    if not music_plays:
        await c.leg.play(c.voice.say("not_open_yet"))
    while True:
        if not music_plays:
            await c.leg.start_playing(c.voice.say("hold_music"), loop=True)
        music_plays = False
        await asyncio.sleep(c.settings.wait_reminder)
        await c.leg.play(c.voice.say("still_waiting"))
