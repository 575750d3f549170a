"""A process goes away in the middle of calls, and the next one takes them up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dialroom.calls import journal
from dialroom.calls.adopt import events_seen, instance_seen
from dialroom.calls.resume import Resume, decode_resume, encode_resume
from dialroom.core.ending import Ending
from dialroom.flows.stages import AskingCode, InRoom, Waiting
from dialroom.media.protocol import DigitReceived, JoinLeg, LegSilent, Play, StopPlayback
from dialroom.rooms.directory import Rooms
from dialroom.sip.session.events import Ended

from .memory_calls import call_record
from .switchboard_room import CODE, House, SipCaller, until


async def in_room(house: House, caller: SipCaller) -> str:
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    record = await house.recorded(lambda each: each.state == "in_room")
    assert record.leg
    await until(lambda: isinstance(stored(house).stage, InRoom))
    return record.leg


def stored(house: House) -> Resume:
    (data,) = house.calls.resumes.values()
    resume = decode_resume(data)
    assert resume is not None
    return resume


def tell_again(house: House, leg: str, digits: str, after: int) -> None:
    """The media process tells these digits again, with the sequence numbers they had: those behind ``after``."""
    newest = house.media.last_event
    for number, digit in enumerate(digits, after + 1):
        house.media._last_event = number
        house.media._listeners.tell(DigitReceived(leg=leg, digit=digit, duration=100))
    house.media._last_event = newest


async def restart(house: House) -> int:
    await house.hand_over()
    return await house.start()


async def test_a_call_in_a_room_goes_on_and_the_caller_hears_nothing_of_it(house: House, caller: SipCaller) -> None:
    room = await house.room()
    leg = await in_room(house, caller)
    plays = len(house.media.sent(Play))
    assert await restart(house) == 1
    assert house.people(room) == ["phone"]
    assert len(house.media.sent(JoinLeg)) == 1
    assert len(house.media.sent(Play)) == plays
    assert leg in house.media.legs
    caller.press("*6")
    await until(lambda: house.media.legs[leg].muted)
    caller.invite.bye()
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("completed", "caller_hung_up", 200, "caller")
    assert "taken_up_again" in [step.what for step in record.steps]
    assert house.people(room) == []
    assert house.calls.told == ["call.received", "call.answered", "call.joined", "call.ended"]


async def test_the_new_process_can_hang_up_the_old_ones_call(house: House, caller: SipCaller) -> None:
    room = await house.room()
    await in_room(house, caller)
    await restart(house)
    session = house.meetings.session_of(room.id)
    assert session is not None
    await until(lambda: house.meetings.participants(session.id)[0].connected)
    (phone,) = house.meetings.participants(session.id)
    await house.meetings.remove(phone.id, by="api")
    await caller.hears(Ended)
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("completed", "removed", 200, "host")


async def test_it_goes_well_twice(house: House, caller: SipCaller) -> None:
    room = await house.room()
    leg = await in_room(house, caller)
    await restart(house)
    caller.press("*6")
    await until(lambda: house.media.legs[leg].muted)
    assert await restart(house) == 1
    caller.press("*6")
    await until(lambda: not house.media.legs[leg].muted)
    assert house.people(room) == ["phone"]


async def test_a_caller_who_was_typing_is_asked_again(house: House, caller: SipCaller) -> None:
    room = await house.room()
    caller.dial(house.port)
    await caller.answered()
    await until(lambda: house.calls.resumes)
    caller.press(CODE[:4])
    assert await restart(house) == 1
    (leg,) = house.media.legs
    await until(lambda: "en/enter_code@0" in house.media.clips_played(leg))
    caller.press(CODE)
    await house.recorded(lambda each: each.state == "in_room")
    assert house.people(room) == ["phone"]
    assert house.guesses.wrong == 0


async def test_what_was_typed_before_is_no_part_of_the_entry_that_is_asked_for_again(
    house: House, caller: SipCaller
) -> None:
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    await until(lambda: house.calls.resumes)
    (leg,) = house.media.legs
    before = house.media.last_event
    house.media.press(leg, CODE[:3])
    assert await restart(house) == 1
    await until(lambda: "en/enter_code@0" in house.media.clips_played(leg))
    tell_again(house, leg, CODE[:3], before)
    house.media.press(leg, CODE)
    await house.recorded(lambda each: each.state == "in_room")
    assert house.guesses.wrong == 0


async def test_a_caller_who_waits_hears_the_music_go_on(house: House, caller: SipCaller) -> None:
    room = await house.room(starts_with="host")
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    (leg,) = house.media.legs
    await until(lambda: "en/hold_music@0" in house.media.clips_playing(leg))
    await until(lambda: isinstance(stored(house).stage, Waiting))
    plays = len(house.media.sent(Play))
    assert await restart(house) == 1
    assert len(house.media.sent(Play)) == plays
    await house.rooms.change("org_a", room.id, starts_with="anyone")
    await house.recorded(lambda each: each.state == "in_room")


async def test_a_caller_seated_in_the_very_moment_of_the_crash_keeps_the_seat(house: House, caller: SipCaller) -> None:
    room = await house.room()
    leg = await in_room(house, caller)
    await house.hand_over()
    record = house.record
    house.calls.records[record.id] = replace(record, state="answered")
    resume = stored(house)
    house.media.legs[leg] = type(house.media.legs[leg])(leg=leg, tag=record.id, rtp_port=20000, media=None)
    older = Resume(sip=resume.sip, side=resume.side, stage=AskingCode(), instance=resume.instance)
    house.calls.resumes[record.id] = encode_resume(older)
    house.media.bridges.clear()
    assert await house.start() == 1
    assert house.people(room) == ["phone"]
    assert house.media.legs[leg].bridge in house.media.bridges
    await until(lambda: isinstance(stored(house).stage, InRoom))
    caller.press("*6")
    await until(lambda: house.media.legs[leg].muted)


async def test_a_leg_that_cannot_be_put_back_ends_its_call_and_not_the_start(house: House, caller: SipCaller) -> None:
    room = await house.room()
    leg = await in_room(house, caller)
    await house.hand_over()
    house.media.legs[leg] = type(house.media.legs[leg])(leg=leg, tag=house.record.id, rtp_port=20000, media=None)
    house.media.refuse_next(JoinLeg, "internal")
    assert await house.start() == 0
    await caller.hears(Ended)
    assert house.record.ending == Ending("failed", "media_lost", 200, "server")
    assert house.people(room) == []
    assert house.media.legs == {}


async def test_a_call_whose_leg_is_gone_is_hung_up(house: House, caller: SipCaller) -> None:
    room = await house.room()
    leg = await in_room(house, caller)
    await house.hand_over()
    del house.media.legs[leg]
    assert await house.start() == 0
    await caller.hears(Ended)
    assert house.record.ending == Ending("failed", "media_lost", 200, "server")
    assert house.people(room) == []


async def test_a_call_to_a_number_that_is_gone_is_hung_up(house: House, caller: SipCaller) -> None:
    room = await house.room()
    await in_room(house, caller)
    await house.hand_over()
    house.numbers.numbers = ()
    assert await house.start() == 0
    await caller.hears(Ended)
    assert house.record.ending == Ending("failed", "server_restarted", 200, "server")
    assert house.people(room) == []
    assert house.media.legs == {}


async def test_each_request_of_ours_is_stored_so_that_the_next_process_goes_on_counting(
    house: House, caller: SipCaller
) -> None:
    await house.room()
    leg = await in_room(house, caller)
    before = stored(house).sip
    house.media.raise_event(LegSilent(leg=leg, silence=20_000))
    await until(lambda: stored(house).sip != before)


async def test_an_ack_is_stored_so_that_the_next_process_does_not_wait_for_it(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ACKNOWLEDGED_WITHIN", 0.01)
    caller.dial(house.port)
    await caller.answered()
    await until(lambda: house.calls.resumes and stored(house).sip.unacknowledged is None)
    assert house.record.steps[-1].what == "code_asked", "no later step was needed"


async def test_a_leg_that_belongs_to_no_call_is_closed(house: House) -> None:
    await house.media.open_leg("leg_orphan")
    await restart(house)
    assert house.media.legs == {}


async def test_a_call_that_was_never_answered_is_closed_in_the_books(house: House) -> None:
    await house.calls.save(call_record())
    assert await restart(house) == 0
    assert house.record.ending == Ending("failed", "server_restarted", None, "server")


async def test_what_another_version_wrote_is_not_gone_on_with(house: House, caller: SipCaller) -> None:
    await house.room()
    await in_room(house, caller)
    await house.hand_over()
    house.calls.resumes[house.record.id] = b"\x81\xa3new\x01"
    assert await house.start() == 0
    assert house.record.ending == Ending("failed", "server_restarted", 200, "server")


async def test_digits_told_again_are_not_acted_upon_twice(house: House, caller: SipCaller) -> None:
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    (leg,) = house.media.legs
    house.media.press(leg, CODE + "*6")
    pressed = house.media.last_event
    await until(lambda: house.media.legs[leg].muted)
    await until(lambda: stored(house).last_event == pressed)
    running = await house.calls.running()
    assert events_seen(running) == pressed
    assert instance_seen(running) == "fake"
    await restart(house)
    tell_again(house, leg, "*6", pressed - 2)
    house.media.press(leg, "*8")
    await until(lambda: "en/only_you@0" in house.media.clips_played(leg))
    assert house.media.legs[leg].muted


async def test_keys_forgotten_when_the_waiting_was_over_are_not_told_again(house: House, caller: SipCaller) -> None:
    room = await house.room(starts_with="host")
    caller.dial(house.port)
    await caller.answered()
    (leg,) = house.media.legs
    house.media.press(leg, CODE)
    await until(lambda: "en/hold_music@0" in house.media.clips_playing(leg))
    house.media.press(leg, "*6")
    pressed = house.media.last_event
    await house.rooms.change("org_a", room.id, starts_with="anyone")
    await house.recorded(lambda each: each.state == "in_room")
    assert len(house.media.sent(StopPlayback)) == 1, "the music is over"
    assert stored(house).last_event >= pressed


async def test_keys_pressed_while_waiting_are_not_acted_upon_in_a_room_that_opened_during_the_restart(
    house: House, caller: SipCaller
) -> None:
    room = await house.room(starts_with="host")
    caller.dial(house.port)
    await caller.answered()
    (leg,) = house.media.legs
    house.media.press(leg, CODE)
    await until(lambda: isinstance(stored(house).stage, Waiting))
    await house.hand_over()
    before = house.media.last_event
    house.media.press(leg, "*6")
    await Rooms(house.room_store, house.clock).change("org_a", room.id, starts_with="anyone")
    assert await house.start() == 1
    await house.recorded(lambda each: each.state == "in_room")
    tell_again(house, leg, "*6", before)
    house.media.press(leg, "*8")
    await until(lambda: "en/only_you@0" in house.media.clips_played(leg))
    assert not house.media.legs[leg].muted
