"""The way into a room by phone: code, PIN, waiting, a seat. Read it from `dial_in` downwards."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from functools import partial

import structlog

from dialroom.core.errors import NotFound, RoomEnded, RoomFull, RoomLocked, RoomNotOpen
from dialroom.flows.asking import Tries, ask_for_code, ask_for_pin
from dialroom.flows.conversation import Conversation, TurnedAwayError
from dialroom.flows.leg import LegGoneError
from dialroom.flows.outage import through_outage
from dialroom.flows.room_keys import RoomLine, seat_again, stay_in_room
from dialroom.flows.stages import AskingCode, AskingPin, InRoom, Leaving, Stage, Waiting
from dialroom.media.plane import MediaError
from dialroom.media.protocol import PlaySilence
from dialroom.rooms.values import Participant, Room

_log = structlog.get_logger("dialroom.calls")

BEFORE_THE_FIRST_WORD = PlaySilence(duration=300)
"""Carriers open the way to the caller's ear a moment after the answer; what is said earlier is lost."""

AFTER_THE_LAST_WORD = PlaySilence(duration=500)
"""What was sent last is still on its way and in the phone's jitter buffer when a BYE makes the phone stop listening."""


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
    with contextlib.suppress(MediaError):  # the reason stays what it is, though it could not be said
        await c.leg.play([*c.voice.say(*away.prompts, "goodbye"), AFTER_THE_LAST_WORD])
    return await _hang_up(c, away.reason)


async def _hang_up(c: Conversation, reason: str) -> str:
    await c.leg.hang_up(reason)
    return reason


async def _find_room(c: Conversation, stage: Stage, straight_into: str | None, tries: Tries) -> Room:
    room_id = stage.room if isinstance(stage, AskingPin | Waiting | InRoom) else straight_into
    if room_id is None:
        welcome = [BEFORE_THE_FIRST_WORD, *c.voice.say("welcome_enter_code")]
        return await ask_for_code(c, tries, c.voice.say("enter_code") if isinstance(stage, AskingCode) else welcome)
    try:
        room = await through_outage(c, partial(c.room, room_id))
    except NotFound:
        raise TurnedAwayError("room_ended", "meeting_ended") from None
    if not room.dial_in and not isinstance(stage, InRoom):
        raise TurnedAwayError("dial_in_off", "dial_in_off")
    return room


async def _enter_and_stay(c: Conversation, room: Room, stage: Stage, tries: Tries) -> str:
    line = RoomLine(c.leg, c.meetings)
    try:
        if isinstance(stage, InRoom):
            return await stay_in_room(c, seat_again(c, stage, line), line, stage.gain, fresh=False)
        if room.pin is not None and not isinstance(stage, Waiting):
            await ask_for_pin(c, room, tries)
        participant = await take_seat(c, room, line, stage)
        return await stay_in_room(c, participant, line)
    except TurnedAwayError as away:
        return await see_off(c, away)


# --- a seat ------------------------------------------------------------------------------------------------------


async def take_seat(c: Conversation, room: Room, line: RoomLine, stage: Stage) -> Participant:
    """Enters the room, waiting for it to open if need be. Raises `TurnedAwayError`."""
    limit = timedelta(seconds=c.settings.wait_limit)
    until = stage.until if isinstance(stage, Waiting) else c.clock.now() + limit
    resumed = isinstance(stage, Waiting)
    if resumed:
        c.leg.forget_digits()  # the room may be open by now
    while True:
        try:
            return await through_outage(c, partial(c.meetings.enter, room, c.caller.newcomer(), line))
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
        (failed,) = await asyncio.gather(pastime, return_exceptions=True)
        if isinstance(failed, Exception) and not isinstance(failed, LegGoneError):
            _log.error("call.pastime_failed", call=c.caller.call, exc_info=failed)
    await c.leg.stop()
    c.leg.forget_digits()


async def _pass_the_time(c: Conversation, *, music_plays: bool) -> None:
    say = "not_open_yet"
    while True:
        try:
            if not music_plays:
                await c.leg.play(c.voice.say(say))
                await c.leg.start_playing(c.voice.say("hold_music"), loop=True)
            music_plays, say = False, "still_waiting"
            await asyncio.sleep(c.settings.wait_reminder)
        except MediaError:  # out of reach for a moment: the caller waits on
            await asyncio.sleep(c.settings.outage_pause)
