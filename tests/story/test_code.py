"""Typing a code."""

from __future__ import annotations

import asyncio

import pytest

from dialroom.flows.stages import AskingCode, AskingPin, InRoom
from dialroom.rooms.directory import NewRoom
from dialroom.rooms.values import Room

from .support.phone import CLIP_SECONDS
from .support.stage import CODE, PIN, CountedGuesses, StorySet, dial_in_number


async def test_the_right_code_leads_into_the_room(scene: StorySet) -> None:
    room = await scene.room()
    call = scene.call()
    await call.phone.hears("welcome_enter_code")
    assert call.phone.answered
    call.phone.press(CODE + "#")
    await call.phone.is_in_a_bridge()
    assert scene.people(room) == ["Phone 1"]
    session = scene.meetings.session_of(room.id)
    assert session is not None
    assert call.phone.bridge == session.id
    await call.phone.hears("you_are_the_first")
    assert isinstance(call.notes.stage, InRoom)
    assert call.notes.words == ["code_asked", "code_accepted", "joined"]


async def test_a_code_needs_no_pound_when_it_can_only_mean_one_room(scene: StorySet) -> None:
    await scene.room()
    call = scene.call()
    await call.phone.hears("welcome_enter_code")
    before = asyncio.get_running_loop().time()
    call.phone.press(CODE)
    await call.phone.is_in_a_bridge()
    assert asyncio.get_running_loop().time() == before


async def test_digits_typed_before_the_welcome_count(scene: StorySet) -> None:
    await scene.room()
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.is_in_a_bridge()
    assert "welcome_enter_code" not in call.phone.prompts


async def test_the_pound_after_a_code_that_was_complete_without_it_means_nothing(scene: StorySet) -> None:
    await scene.room(pin="90125")
    call = scene.call()
    call.phone.press(CODE + "#")
    await call.phone.hears("enter_pin")
    assert "nothing_entered" not in call.phone.prompts
    call.phone.press("90125#")
    await call.phone.is_in_a_bridge()
    assert scene.guesses.wrongs == 0


async def test_a_code_that_begins_a_longer_one_waits_for_pound_or_silence(scene: StorySet) -> None:
    short = await scene.room(code="4829")
    await scene.room(code="48291")
    call = scene.call()
    await call.phone.hears("welcome_enter_code")
    call.phone.press("4829")
    await call.phone.is_in_a_bridge()
    assert asyncio.get_running_loop().time() == scene.settings.pause
    assert scene.people(short) == ["Phone 1"]


async def test_star_begins_the_entry_anew(scene: StorySet) -> None:
    room = await scene.room()
    call = scene.call()
    call.phone.press("123*" + CODE)
    await call.phone.is_in_a_bridge()
    assert scene.people(room) == ["Phone 1"]


async def test_star_gives_no_second_look_at_digits_without_pound(scene: StorySet) -> None:
    await scene.room()
    call = scene.call()
    call.phone.press("111222333*" + CODE)
    await call.phone.is_in_a_bridge()
    assert asyncio.get_running_loop().time() == scene.settings.pause


@pytest.mark.parametrize("rest", ["*", "*999", "*211222334#"])
async def test_a_code_that_was_tried_and_taken_back_is_a_wrong_guess(scene: StorySet, rest: str) -> None:
    call = scene.call()
    call.phone.press("111222333" + rest)
    await call.phone.hears("wrong_code" if rest.strip("*") else "nothing_entered")
    assert (scene.guesses.wrongs, scene.guesses.unsettled) == (2 if rest.strip("*") else 1, 0)


@pytest.mark.parametrize(("keys", "wrongs"), [("111222333", 1), ("111", 0), ("", 0)])
async def test_a_code_that_was_tried_before_hanging_up_is_a_wrong_guess(
    scene: StorySet, keys: str, wrongs: int
) -> None:
    call = scene.call()
    call.phone.press(keys)
    await asyncio.sleep(0.1)
    await call.hangs_up()
    assert (scene.guesses.wrongs, scene.guesses.unsettled) == (wrongs, 0)


async def test_a_code_that_was_being_typed_when_the_process_hands_over_is_no_wrong_guess(scene: StorySet) -> None:
    await scene.room()
    call = scene.call()
    call.phone.press(CODE[:6])
    await asyncio.sleep(0.1)
    assert scene.guesses.begun == 1
    call.phone.handed_over = True
    call.flow.cancel()
    await asyncio.wait({call.flow})
    assert (scene.guesses.wrongs, scene.guesses.unsettled) == (0, 0)


async def test_a_wrong_code_is_said_so_and_asked_again(scene: StorySet) -> None:
    await scene.room()
    call = scene.call()
    call.phone.press("111222333#")
    await call.phone.hears("wrong_code")
    call.phone.press(CODE)
    await call.phone.is_in_a_bridge()
    assert scene.guesses.wrongs == 1
    assert "code_wrong" in call.notes.words


async def test_three_wrong_codes_are_goodbye(scene: StorySet) -> None:
    await scene.room()
    call = scene.call()
    for wrong in ("111222333#", "111222334#", "111222335#"):
        call.phone.press(wrong)
    assert await call.ends() == "wrong_code"
    assert call.phone.hung_up == "wrong_code"
    assert call.phone.prompts[-2:] == ["try_again_later", "goodbye"]
    assert scene.guesses.wrongs == 3


async def test_wrong_codes_and_pins_are_kept_for_another_process(scene: StorySet) -> None:
    room = await scene.room(pin=PIN)
    call = scene.call()
    call.phone.press("111222333#")
    await call.phone.hears("wrong_code")
    after_the_code = call.notes.stage
    call.phone.press(CODE + "#000000#")
    await call.phone.hears("wrong_code", times=2)
    assert (after_the_code, call.notes.stage) == (AskingCode(wrong=1), AskingPin(room=room.id, wrong=2))


async def test_the_first_word_waits_for_the_way_to_open_and_hanging_up_for_the_last_word_to_arrive(
    scene: StorySet,
) -> None:
    call = scene.call()
    welcome = await call.phone.hears("welcome_enter_code")
    assert welcome.at == 0.3
    await call.ends()
    assert call.phone.heard[-1].prompt == "goodbye"
    assert call.phone.hung_up_at == pytest.approx(call.phone.heard[-1].at + CLIP_SECONDS + 0.5)


async def test_a_caller_who_types_nothing_is_asked_three_times(scene: StorySet) -> None:
    call = scene.call()
    assert await call.ends() == "nothing_entered"
    assert call.phone.prompts.count("nothing_entered") == 3
    assert call.notes.words == ["code_asked", *["nothing_entered"] * 3, "nothing_entered"]  # the last one ends the call
    assert call.phone.prompts[-1] == "goodbye"


@pytest.mark.parametrize("keys", ["#", "1*", "A"])
async def test_keys_that_enter_nothing_do_not_keep_a_call_for_ever(scene: StorySet, keys: str) -> None:
    call = scene.call()

    async def press_on() -> None:
        while True:
            call.phone.press(keys)
            await asyncio.sleep(1)

    pressing = asyncio.create_task(press_on())
    assert await call.ends() == "entry_limit"
    pressing.cancel()
    assert call.phone.prompts[-2:] == ["try_again_later", "goodbye"]
    assert call.phone.heard[-2].at == scene.settings.entry_limit


async def test_an_endless_row_of_digits_is_one_wrong_try(scene: StorySet) -> None:
    call = scene.call()
    call.phone.press("9" * 20)
    await call.phone.hears("wrong_code")
    assert scene.guesses.wrongs == 1


async def test_no_digit_is_ever_noted(scene: StorySet) -> None:
    await scene.room()
    call = scene.call()
    call.phone.press("111222333#")
    await call.phone.hears("wrong_code")
    call.phone.press(CODE)
    await call.phone.is_in_a_bridge()
    assert not any(CODE in detail or "111222333" in detail for _, detail in call.notes.steps)


async def test_too_many_guesses_turn_everybody_away_and_look_at_no_code(scene: StorySet) -> None:
    room = await scene.room()
    scene.guesses = CountedGuesses(budget=0)
    call = scene.call()
    await call.phone.hears("welcome_enter_code")
    call.phone.press(CODE)
    assert await call.ends() == "too_many_guesses"
    assert call.phone.prompts[-2:] == ["try_again_later", "goodbye"]
    assert scene.people(room) == []
    ended_by_itself = call.phone.heard[-2].at
    assert ended_by_itself == scene.settings.pause + scene.settings.verdict


async def test_digits_are_looked_at_only_where_a_code_may_end(scene: StorySet, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.room()
    looked_at: list[str] = []
    find = scene.room_store.find_by_code_prefix

    async def noted(organisation: str, digits: str, limit: int) -> tuple[Room, ...]:
        looked_at.append(digits)
        return await find(organisation, digits, limit)

    monkeypatch.setattr(scene.room_store, "find_by_code_prefix", noted)
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.is_in_a_bridge()
    assert looked_at == [CODE[:4], CODE]


async def test_a_right_code_is_no_wrong_guess_and_every_look_is_part_of_one_try(scene: StorySet) -> None:
    await scene.room()
    call = scene.call()
    call.phone.press(CODE + "#")
    await call.phone.is_in_a_bridge()
    assert (scene.guesses.begun, scene.guesses.wrongs) == (1, 0)


async def test_of_many_lines_at_once_no_more_are_looked_at_than_there_are_tries(scene: StorySet) -> None:
    await scene.room()
    scene.guesses = CountedGuesses(budget=10)
    for each in range(50):
        scene.call().phone.press(f"1112223{each:02}#")
    await asyncio.gather(*(call.phone.hears("wrong_code") for call in scene.calls[:10]))
    assert await scene.calls[-1].ends() == "too_many_guesses"
    assert scene.guesses.begun == 10


async def test_guessing_slows_down(scene: StorySet) -> None:
    scene.guesses = CountedGuesses(seconds=7.0)
    call = scene.call()
    call.phone.press("111222333#")
    heard = await call.phone.hears("wrong_code")
    assert heard.at == 7.0 + scene.settings.verdict


async def test_the_number_says_in_which_language_to_begin_and_the_room_how_to_go_on(scene: StorySet) -> None:
    await scene.room(language="en")
    scene.number = dial_in_number("de-AT")
    call = scene.call()
    asked = await call.phone.hears("welcome_enter_code")
    call.phone.press(CODE)
    first = await call.phone.hears("you_are_the_first")
    assert (asked.language, first.language) == ("de", "en")
    assert call.notes.language == "en"


async def test_a_number_that_leads_into_a_room_asks_for_no_code(scene: StorySet) -> None:
    room = await scene.room()
    call = scene.call(straight_into=room.id)
    await call.phone.is_in_a_bridge()
    assert "welcome_enter_code" not in call.phone.prompts


async def test_a_number_that_leads_into_a_room_without_dial_in_says_so(scene: StorySet) -> None:
    room = await scene.rooms.create("org_a", NewRoom(name="No phones", dial_in=False))
    call = scene.call(straight_into=room.id)
    assert await call.ends() == "dial_in_off"
    assert call.phone.prompts == ["dial_in_off", "goodbye"]
    assert scene.people(room) == []


async def test_a_restarted_server_asks_again_without_greeting_and_remembers_wrong_tries(scene: StorySet) -> None:
    await scene.room()
    call = scene.call(stage=AskingCode(wrong=2))
    await call.phone.hears("enter_code")
    assert call.notes.stage == AskingCode(wrong=2)
    call.phone.press("111222333#")
    assert await call.ends() == "wrong_code"
    assert "welcome_enter_code" not in call.phone.prompts


@pytest.mark.parametrize("moment", ["welcome_enter_code", "wrong_code", "nothing_entered"])
async def test_hanging_up_while_a_code_is_asked_ends_the_flow(scene: StorySet, moment: str) -> None:
    call = scene.call()
    if moment == "wrong_code":
        call.phone.press("111222333#")
    await call.phone.hears(moment)
    await call.hangs_up()
    assert call.flow.cancelled()
    assert scene.meeting_store.participants == {}
