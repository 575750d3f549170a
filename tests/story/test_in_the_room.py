"""What a caller can do in the room, and what is done to them."""

from __future__ import annotations

import asyncio

import pytest

from dialroom.flows.stages import InRoom
from dialroom.rooms.values import Participant, Room

from .support.stage import PhoneCall, StorySet


async def in_room(scene: StorySet, room: Room) -> PhoneCall:
    call = scene.call(straight_into=room.id)
    await call.phone.hears("menu_hint")
    return call


async def test_the_caller_hears_how_many_are_there_and_the_others_hear_a_tone(scene: StorySet) -> None:
    room = await scene.room()
    for name in ("Ada", "Bob", "Cyd"):
        await scene.browser_joins(room, name)
    call = await in_room(scene, room)
    assert call.phone.prompts == ["others_before", "number_3", "others_after_other", "menu_hint"]
    assert call.phone.others_heard == ["entry_tone"]


async def test_star_six_mutes_and_unmutes_with_a_word(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    call.phone.press("*6")
    await call.phone.hears("muted")
    assert call.phone.is_muted
    assert the_phone(scene, room).muted
    call.phone.press("*6")
    await call.phone.hears("unmuted")
    assert not call.phone.is_muted
    assert not the_phone(scene, room).muted


async def test_star_nine_raises_and_lowers_the_hand(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    call.phone.press("*9")
    await call.phone.hears("hand_raised")
    assert the_phone(scene, room).hand_raised
    call.phone.press("*9")
    await call.phone.hears("hand_lowered")
    assert not the_phone(scene, room).hand_raised


async def test_star_four_and_seven_change_the_loudness_within_limits(scene: StorySet) -> None:
    call = await in_room(scene, await scene.room())
    call.phone.press("*4*4*4*4")
    await call.phone.hears("volume_max")
    assert call.phone.gains == [4.0, 8.0, 12.0]
    assert call.phone.prompts[-4:] == ["louder"] * 3 + ["volume_max"]
    call.phone.press("*7*7*7*7*7*7*7")
    await call.phone.hears("volume_min")
    assert call.phone.gains[-1] == -12.0
    assert isinstance(call.notes.stage, InRoom)
    assert call.notes.stage.gain == -12.0


async def test_star_eight_says_how_many_people_are_here(scene: StorySet) -> None:
    room = await scene.room()
    await scene.browser_joins(room)
    call = await in_room(scene, room)
    call.phone.press("*8")
    await call.phone.hears("people_after_other")
    assert call.phone.prompts[-3:] == ["people_before", "number_2", "people_after_other"]


async def test_star_eight_alone_in_the_room(scene: StorySet) -> None:
    call = await in_room(scene, await scene.room())
    call.phone.press("*8")
    await call.phone.hears("only_you")


async def test_star_star_is_the_menu_and_other_keys_say_where_it_is(scene: StorySet) -> None:
    call = await in_room(scene, await scene.room())
    call.phone.press("**")
    await call.phone.hears("menu")
    call.phone.press("*1")
    await call.phone.hears("invalid_key")


async def test_digits_without_a_star_do_nothing(scene: StorySet) -> None:
    call = await in_room(scene, await scene.room())
    call.phone.press("6#94")
    call.phone.press("*8")
    await call.phone.hears("only_you")
    assert not call.phone.is_muted
    assert call.phone.gains == []


async def test_a_star_is_forgotten_after_a_while(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    call.phone.press("*")
    await scene.clock.sleep(scene.settings.key_pause + 1)
    call.phone.press("6")
    await scene.clock.sleep(1)
    assert not call.phone.is_muted


async def test_a_key_pressed_while_the_database_is_away_costs_nobody_the_call(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    scene.meeting_store.away = True
    call.phone.press("*6")
    await call.phone.hears("one_moment")
    assert not call.phone.is_muted
    scene.meeting_store.away = False
    call.phone.press("*6")
    await call.phone.hears("muted")
    assert call.phone.is_muted


async def test_a_key_pressed_while_the_media_process_is_out_of_reach_costs_nobody_the_call(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    call.phone.media_away = True
    call.phone.press("*6")
    await call.phone.asked_in_vain.wait()
    assert not the_phone(scene, room).muted
    call.phone.media_away = False
    call.phone.press("*6")
    await call.phone.hears("muted")
    assert call.phone.is_muted


async def test_news_that_cannot_be_said_costs_nobody_the_call(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    call.phone.media_away = True
    await scene.meetings.set_muted(the_phone(scene, room).id, True, by="part_host")
    await call.phone.asked_in_vain.wait()
    call.phone.media_away = False
    call.phone.press("*8")
    await call.phone.hears("only_you")
    assert not call.flow.done()


async def test_a_mute_taken_back_by_the_move_to_another_room_does_not_silence_the_caller(scene: StorySet) -> None:
    room = await scene.room()
    other = await scene.room(code="719283645")
    call = await in_room(scene, room)
    mute = call.phone.mute

    async def moved_meanwhile(muted: bool) -> None:
        call.phone.mute = mute  # type: ignore[method-assign]
        await scene.meetings.move(the_phone(scene, room).id, other, by="api")
        await mute(muted)

    call.phone.mute = moved_meanwhile  # type: ignore[method-assign]
    call.phone.press("*6")
    await call.phone.hears("moved_to_other_room")
    assert not the_phone(scene, other).muted
    assert not call.phone.is_muted


async def test_whoever_mutes_and_unmutes_at_once_the_leg_is_as_the_room_says(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    mute, done = call.phone.mute, asyncio.Event()

    async def slowly(muted: bool) -> None:
        await done.wait()
        await mute(muted)

    call.phone.press("*6")
    await call.phone.hears("muted")
    call.phone.mute = slowly  # type: ignore[method-assign]
    for muted in (False, True, False):
        await scene.meetings.set_muted(the_phone(scene, room).id, muted, by="part_host")
    await call.phone.hears("unmuted_by_host")
    call.phone.press("*6")
    await scene.clock.sleep(1)
    done.set()
    await call.phone.hears("muted", times=2)
    await scene.meetings.settled()
    assert the_phone(scene, room).muted
    assert call.phone.is_muted


async def test_a_moderators_mute_is_instant_and_spoken(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    await scene.meetings.set_muted(the_phone(scene, room).id, True, by="part_host")
    await call.phone.hears("muted_by_host")
    assert call.phone.is_muted
    call.phone.press("*6")
    await call.phone.hears("unmuted")
    assert not call.phone.is_muted


async def test_a_moderator_lowers_the_hand(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    call.phone.press("*9")
    await call.phone.hears("hand_raised")
    await scene.meetings.set_hand(the_phone(scene, room).id, False, by="part_host")
    await call.phone.hears("hand_lowered_by_host")
    call.phone.press("*9")
    await call.phone.hears("hand_raised", times=2)


async def test_what_is_done_in_the_room_is_on_record(scene: StorySet) -> None:
    room, other = await scene.room(), await scene.room(code="731946285")
    call = await in_room(scene, room)
    call.phone.press("*9*4*6")
    await call.phone.hears("muted")
    await scene.meetings.set_muted(the_phone(scene, room).id, False, by="part_host")
    await call.phone.hears("unmuted_by_host")
    await scene.meetings.set_hand(the_phone(scene, room).id, False, by="part_host")
    await call.phone.hears("hand_lowered_by_host")
    await scene.meetings.move(the_phone(scene, room).id, other, by="api")
    await call.phone.hears("moved_to_other_room")
    done = ["hand_raised", "gain_changed", "muted", "unmuted", "hand_lowered", "moved"]
    assert [word for word in call.notes.words if word in done] == done


async def test_a_hand_raised_before_a_move_is_down_in_the_other_room(scene: StorySet) -> None:
    room, other = await scene.room(), await scene.room(code="731946285")
    call = await in_room(scene, room)
    call.phone.press("*9")
    await call.phone.hears("hand_raised")
    await scene.meetings.move(the_phone(scene, room).id, other, by="api")
    await call.phone.hears("moved_to_other_room")
    assert not the_phone(scene, other).hand_raised
    call.phone.press("*9")
    await call.phone.hears("hand_raised", times=2)
    assert the_phone(scene, other).hand_raised


async def test_removal_is_spoken_outside_the_room(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    await scene.meetings.remove(the_phone(scene, room).id, by="part_host")
    await call.phone.hears("removed_by_host")
    assert call.phone.bridge is None
    assert await call.ends() == "removed"
    assert call.phone.prompts[-2:] == ["removed_by_host", "goodbye"]
    assert [p.left_reason for p in scene.meeting_store.participants.values()] == ["removed"]


async def test_the_end_of_the_session_is_spoken(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    await scene.meetings.end(room.id, by="part_host")
    assert await call.ends() == "session_ended"
    assert call.phone.prompts[-2:] == ["meeting_ended", "goodbye"]


async def test_a_move_takes_the_caller_to_the_other_room(scene: StorySet) -> None:
    first = await scene.room()
    second = await scene.room(code="731946285", language="de")
    await scene.browser_joins(second)
    call = await in_room(scene, first)
    await scene.meetings.move(the_phone(scene, first).id, second, by="api")
    spoken = await call.phone.hears("moved_to_other_room")
    session = scene.meetings.session_of(second.id)
    assert session is not None
    assert call.phone.bridge == session.id
    assert spoken.language == "de"
    assert scene.people(second) == ["Ada", "Phone 1"]
    call.phone.press("*6")
    await call.phone.hears("muted")
    assert the_phone(scene, second).muted
    await call.hangs_up()
    assert scene.people(second) == ["Ada"]


async def test_who_hangs_up_left_and_whose_connection_broke_is_lost(scene: StorySet) -> None:
    room = await scene.room()
    for goes in (PhoneCall.hangs_up, PhoneCall.loses_the_connection):
        call = scene.call(straight_into=room.id)
        await call.phone.hears("menu_hint")
        await goes(call)
    assert [each.left_reason for each in scene.meeting_store.participants.values()] == ["left", "lost"]


async def test_a_fault_of_ours_in_mid_call_is_no_leaving_of_the_callers(scene: StorySet) -> None:
    room = await scene.room()
    call = scene.call(straight_into=room.id)
    await call.phone.hears("menu_hint")

    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    call.phone.next_digit = broken  # type: ignore[method-assign, assignment]
    call.phone.press("*")
    with pytest.raises(RuntimeError):
        await call.ends()
    assert [each.left_reason for each in scene.meeting_store.participants.values()] == ["lost"]
    assert scene.people(room) == []


async def seated_only(scene: StorySet, room: Room) -> tuple[PhoneCall, asyncio.Event]:
    """A caller who has a seat and whose sound enters the room when the event is set."""
    call, enters = scene.call(straight_into=room.id), asyncio.Event()
    join = call.phone.join

    async def slowly(bridge: str, participant: str, *, muted: bool) -> None:
        call.phone.join = join  # type: ignore[method-assign]
        await enters.wait()
        await join(bridge, participant, muted=muted)

    call.phone.join = slowly  # type: ignore[method-assign]
    await scene.clock.sleep(0.1)
    assert scene.people(room) == ["Phone 1"]
    return call, enters


async def test_who_is_removed_in_the_very_moment_of_entering_does_not_stay_in_the_bridge(scene: StorySet) -> None:
    room = await scene.room()
    call, enters = await seated_only(scene, room)
    await scene.meetings.remove(the_phone(scene, room).id, by="part_host")
    await scene.clock.sleep(0.1)
    enters.set()
    await call.phone.hears("removed_by_host")
    assert call.phone.bridge is None


async def test_who_is_muted_in_the_very_moment_of_entering_is_muted(scene: StorySet) -> None:
    room = await scene.room()
    call, enters = await seated_only(scene, room)
    await scene.meetings.set_muted(the_phone(scene, room).id, True, by="part_host")
    await scene.clock.sleep(0.1)
    enters.set()
    await call.phone.hears("muted_by_host")
    assert call.phone.is_muted


async def test_who_is_moved_in_the_very_moment_of_entering_is_in_the_other_room(scene: StorySet) -> None:
    room, other = await scene.room(), await scene.room(code="731946285")
    call, enters = await seated_only(scene, room)
    await scene.meetings.move(the_phone(scene, room).id, other, by="api")
    await scene.clock.sleep(0.1)
    enters.set()
    await call.phone.hears("moved_to_other_room")
    session = scene.meetings.session_of(other.id)
    assert session is not None
    assert call.phone.bridge == session.id


async def test_hanging_up_leaves_the_room(scene: StorySet) -> None:
    room = await scene.room()
    await scene.browser_joins(room)
    call = await in_room(scene, room)
    await call.hangs_up()
    assert scene.people(room) == ["Ada"]


@pytest.mark.parametrize("turns", range(12))
async def test_hanging_up_at_any_moment_of_coming_in_leaves_no_ghost(scene: StorySet, turns: int) -> None:
    room = await scene.room()
    await scene.browser_joins(room)
    call = scene.call(straight_into=room.id)
    for _ in range(turns):
        await asyncio.sleep(0)
    await call.hangs_up()
    await scene.meetings.settled()
    assert scene.people(room) == ["Ada"]


async def test_a_process_that_hands_over_leaves_the_caller_in_their_seat(scene: StorySet) -> None:
    room = await scene.room()
    call = await in_room(scene, room)
    call.phone.handed_over = True
    call.flow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.flow
    assert scene.people(room) == ["Phone 1"]


async def test_a_restarted_server_takes_the_seat_again_in_silence(scene: StorySet) -> None:
    room = await scene.room()
    before = await in_room(scene, room)
    before.phone.handed_over = True
    before.flow.cancel()
    call = scene.call(stage=before.notes.stage)
    call.phone.press("*6")
    await call.phone.hears("muted")
    assert call.phone.prompts == ["muted"]
    assert call.phone.others_heard == []
    assert the_phone(scene, room).muted
    await call.hangs_up()
    assert scene.people(room) == []


def the_phone(scene: StorySet, room: Room) -> Participant:
    session = scene.meetings.session_of(room.id)
    assert session is not None
    return next(each for each in scene.meetings.participants(session.id) if each.kind == "phone")
