"""A caller in a room: the keys they press, and what moderators do to them.

`*6` mute · `*9` hand · `*4` louder · `*7` quieter · `*8` how many · `**` menu. What is said is heard over the room,
which goes on more quietly; pressing the next key, or news from the room, cuts it short.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import structlog

from dialroom.core.errors import NotFound, StoreUnavailable
from dialroom.flows.conversation import Conversation, TurnedAwayError
from dialroom.flows.leg import Leg, LegGoneError, Place
from dialroom.flows.stages import InRoom
from dialroom.media.plane import MediaError, MediaLost
from dialroom.rooms.meetings import Meetings
from dialroom.rooms.values import LeftReason, Participant, Room

_log = structlog.get_logger("dialroom.calls")


@dataclass(frozen=True, slots=True)
class Muted:
    """Somebody else muted or unmuted the caller."""

    muted: bool


@dataclass(frozen=True, slots=True)
class HandLowered:
    """A host lowered the caller's hand."""


@dataclass(frozen=True, slots=True)
class Removed:
    """The stay is over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The stay goes on in another session."""

    participant: Participant
    room: Room


News = Muted | HandLowered | Removed | Moved


class RoomLine:
    """The caller's connection as the meeting knows it. What must be instant (sound) happens here, the rest is news.

    Changes of the leg come one after the other, and each takes the mute as the meeting has it at that moment: so leg
    and meeting agree in the end, whoever mutes and unmutes at once. While the media process is out of reach nothing
    changes; the leg is put right when it is back.
    """

    def __init__(self, leg: Leg, meetings: Meetings) -> None:
        self._leg = leg
        self._meetings = meetings
        self._changing = asyncio.Lock()
        self._participant = ""
        self._sent_away = False
        self.news: asyncio.Queue[News] = asyncio.Queue()
        leg.when_back(self.put_right)

    async def come_in(self, participant: Participant) -> None:
        """Into the bridge; unless the room has moved or removed the caller since they were seated."""
        async with self._changing:
            if not self._sent_away:
                self._participant = participant.id
                await self._leg.join(participant.session, participant.id, muted=self._is_muted(participant.muted))

    def is_in(self, participant: Participant) -> None:
        """In the bridge already, since before a restart."""
        self._participant = participant.id

    async def mute(self, muted: bool) -> None:
        """The caller's voice is off or on, before the meeting knows it."""
        async with self._changing:
            await self._leg.mute(muted)

    async def agree(self, otherwise: bool) -> None:
        """The caller's voice is off or on as the meeting has it; ``otherwise`` if they are not in it any more."""
        await self.mute(self._is_muted(otherwise))

    async def muted(self, muted: bool, by: str) -> None:
        """The caller's voice is off or on before they hear of it."""
        self.news.put_nowait(Muted(muted))
        await self._do(lambda: self._leg.mute(self._is_muted(muted)))

    async def hand_lowered(self) -> None:
        """Only said."""
        self.news.put_nowait(HandLowered())

    async def removed(self, reason: str) -> None:
        """The room does not hear the caller any more, nor they it."""
        self._sent_away = True
        self.news.put_nowait(Removed(reason))
        await self._do(self._leg.leave)

    async def moved(self, participant: Participant, room: Room) -> None:
        """The caller hears the other room."""
        self._sent_away = True
        self._participant = participant.id
        self.news.put_nowait(Moved(participant, room))
        session, id_ = participant.session, participant.id
        await self._do(lambda: self._leg.join(session, id_, muted=self._is_muted(participant.muted)))

    async def put_right(self, there: Place) -> None:
        """The caller is where the meeting has them now, and in no room they were removed from."""
        async with self._changing:
            try:
                seat = self._meetings.participant(self._participant)
            except NotFound:
                if there.bridge is not None:
                    await self._leg.leave()
                return
            if there != Place(seat.session, seat.id, seat.muted):
                await self._leg.join(seat.session, seat.id, muted=seat.muted)

    def _is_muted(self, otherwise: bool) -> bool:
        try:
            return self._meetings.participant(self._participant).muted
        except NotFound:
            return otherwise

    async def _do(self, change: Callable[[], Awaitable[None]]) -> None:
        async with self._changing:
            with contextlib.suppress(LegGoneError, MediaLost):
                await change()


def seat_again(c: Conversation, stage: InRoom, line: RoomLine) -> Participant:
    """Takes the seat that was kept while the process was replaced. Raises `TurnedAwayError` if it is gone."""
    try:
        participant = c.meetings.attach(stage.participant, line)
        line.is_in(participant)
        return participant
    except NotFound:
        raise TurnedAwayError("session_ended", "meeting_ended") from None


async def stay_in_room(
    c: Conversation, participant: Participant, line: RoomLine, gain: float = 0.0, *, fresh: bool = True
) -> str:
    """Until the caller hangs up (which cancels this) or the room lets them go, which raises `TurnedAwayError`.

    ``fresh``: they just came in; otherwise they are in the bridge already and nothing is said.
    """
    stay = Stay(c, participant, line, gain)
    reason: LeftReason = "lost"
    try:
        if fresh:
            await stay.come_in()
        return await stay.listen()
    except TurnedAwayError:
        reason = "left"
        raise
    except (asyncio.CancelledError, LegGoneError):
        reason = "lost" if c.leg.lost else "left"
        raise
    finally:
        # After a crash of ours or a hang-up nobody may be left as a ghost; a process that hands over leaves the seat.
        if not c.leg.handed_over:
            with contextlib.suppress(StoreUnavailable):  # whoever runs the call tries again
                await c.meetings.leave(stay.participant.id, reason)


class Stay:
    """One caller's time in a room, over moves."""

    def __init__(self, c: Conversation, participant: Participant, line: RoomLine, gain: float) -> None:
        self.c = c
        self.participant = participant
        self._line = line
        self._muted = participant.muted
        self._hand = participant.hand_raised
        self._gain = gain
        self._starred = False

    async def come_in(self) -> None:
        """Into the bridge; a tone for the others, the number of people for the caller."""
        participant = self.participant
        await self._line.come_in(participant)
        await self.c.journal.seated(participant)
        await self._reached("joined")
        with self._unsaid():
            await self.c.leg.tell_others(self.c.voice.say("entry_tone"))
            await self.c.leg.start_playing([*self.c.voice.others(self._others()), *self.c.voice.say("menu_hint")])

    async def listen(self) -> str:
        """Acts on keys and news, one at a time, until the room lets the caller go."""
        key = asyncio.create_task(self.c.leg.next_digit())
        news = asyncio.create_task(self._line.news.get())
        try:
            while True:
                patience = self.c.settings.key_pause if self._starred else None
                await asyncio.wait({key, news}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if news.done():
                    with self._unsaid():
                        await self._told(news.result())
                    news = asyncio.create_task(self._line.news.get())
                elif key.done():
                    await self._pressed(key.result())
                    key = asyncio.create_task(self.c.leg.next_digit())
                else:
                    self._starred = False
        finally:
            key.cancel()
            news.cancel()

    # --- keys --------------------------------------------------------------------------------------------------

    async def _pressed(self, key: str | None) -> None:
        if not self._starred:
            self._starred = key == "*"
            return
        self._starred = False
        with self._unsaid():
            try:
                await self._keys().get(key or "", self._unknown_key)()
            except NotFound:
                return  # removed in this very moment: the news says so next
            except StoreUnavailable:
                await self._say("one_moment")  # nothing was changed, and the call goes on

    async def _unknown_key(self) -> None:
        await self._say("invalid_key")

    def _keys(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {
            "6": self._toggle_mute,
            "9": self._toggle_hand,
            "4": self._louder,
            "7": self._quieter,
            "8": self._count,
            "*": self._menu,
        }

    async def _toggle_mute(self) -> None:
        muted = not self._muted
        await self._line.mute(muted)
        try:
            await self.c.meetings.set_muted(self.participant.id, muted, "self")
            self._muted = muted
        finally:
            await self._line.agree(self._muted)
        await self._say("muted" if muted else "unmuted")
        await self._reached("muted" if muted else "unmuted", "by the caller")

    async def _toggle_hand(self) -> None:
        raised = not self._hand
        await self.c.meetings.set_hand(self.participant.id, raised, "self")
        self._hand = raised
        await self._say("hand_raised" if raised else "hand_lowered")
        await self._reached("hand_raised" if raised else "hand_lowered", "by the caller")

    async def _louder(self) -> None:
        await self._change_gain(self.c.settings.gain_step, "louder", "volume_max")

    async def _quieter(self) -> None:
        await self._change_gain(-self.c.settings.gain_step, "quieter", "volume_min")

    async def _change_gain(self, step: float, said: str, said_at_limit: str) -> None:
        limit = self.c.settings.gain_limit
        gain = max(-limit, min(limit, self._gain + step))
        if gain == self._gain:
            await self._say(said_at_limit)
            return
        await self.c.leg.gain(gain)
        self._gain = gain
        await self._say(said)
        await self._reached("gain_changed", f"{gain:+g} dB")

    async def _count(self) -> None:
        people = len(self.c.meetings.participants(self.participant.session))
        await self.c.leg.start_playing(self.c.voice.people(people))

    async def _menu(self) -> None:
        await self._say("menu")

    # --- news --------------------------------------------------------------------------------------------------

    async def _told(self, news: News) -> None:
        match news:
            case Muted(muted):
                self._muted = muted
                await self._say("muted_by_host" if muted else "unmuted_by_host")
                await self._reached("muted" if muted else "unmuted", "by a moderator")
            case HandLowered():
                self._hand = False
                await self._say("hand_lowered_by_host")
                await self._reached("hand_lowered", "by a moderator")
            case Moved(participant, room):
                await self._move(participant, room)
            case Removed(reason):
                raise _REMOVALS.get(reason, _LET_GO)()

    async def _move(self, participant: Participant, room: Room) -> None:
        self.participant = participant
        self._hand = False
        self.c = await self.c.speaking(room.language)
        await self.c.journal.seated(participant)
        await self._reached("moved", room.id)
        await self.c.leg.tell_others(self.c.voice.say("entry_tone"))
        said = [*self.c.voice.say("moved_to_other_room"), *self.c.voice.others(self._others())]
        await self.c.leg.start_playing(said)

    # --- both --------------------------------------------------------------------------------------------------

    def _others(self) -> int:
        us = self.participant
        return sum(1 for each in self.c.meetings.participants(us.session) if each.id != us.id)

    @contextlib.contextmanager
    def _unsaid(self) -> Iterator[None]:
        """The room is heard all the same: a caller who hears no answer presses again."""
        try:
            yield
        except MediaError as error:
            _log.warning("call.not_said", participant=self.participant.id, error=str(error))

    async def _say(self, key: str) -> None:
        await self.c.leg.start_playing(self.c.voice.say(key))

    async def _reached(self, what: str, detail: str = "") -> None:
        at = self.participant
        stage = InRoom(room=at.room, session=at.session, participant=at.id, gain=self._gain)
        await self.c.journal.reached(stage, what, detail)


def _let_go(reason: str, prompt: str) -> Callable[[], TurnedAwayError]:
    return lambda: TurnedAwayError(reason, prompt)


_LET_GO = _let_go("session_ended", "meeting_ended")
_REMOVALS = {"removed": _let_go("removed", "removed_by_host"), "ended": _LET_GO}
