"""Rooms that ask for a PIN besides."""

from __future__ import annotations

from dialroom.flows.stages import AskingPin

from .support.stage import CODE, PIN, StorySet


async def test_the_right_pin_opens_the_room(scene: StorySet) -> None:
    room = await scene.room(pin=PIN)
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("enter_pin")
    call.phone.press(PIN + "#")
    await call.phone.is_in_a_bridge()
    assert scene.people(room) == ["Phone 1"]
    assert call.notes.words == ["code_asked", "code_accepted", "pin_asked", "pin_accepted", "joined"]


async def test_a_pin_needs_no_pound_after_a_pause(scene: StorySet) -> None:
    await scene.room(pin=PIN)
    call = scene.call()
    call.phone.press(CODE + PIN)
    await call.phone.is_in_a_bridge()
    assert "enter_pin" not in call.phone.prompts


async def test_a_wrong_pin_and_an_unknown_code_sound_the_same_and_take_equally_long(scene: StorySet) -> None:
    await scene.room(pin=PIN)
    unknown = scene.call()
    unknown.phone.press("111222333#")
    code_verdict = await unknown.phone.hears("wrong_code")

    guesser = scene.call()
    guesser.phone.press(CODE)
    asked = await guesser.phone.hears("enter_pin")
    guesser.phone.press("00000#")
    pin_verdict = await guesser.phone.hears("wrong_code")

    assert pin_verdict.at - asked.at == code_verdict.at
    assert code_verdict.at > 0


async def test_a_wrong_pin_three_times_is_the_same_goodbye(scene: StorySet) -> None:
    room = await scene.room(pin=PIN)
    call = scene.call()
    call.phone.press(CODE + "00000#11111#22222#")
    assert await call.ends() == "wrong_pin"
    assert call.phone.prompts[-2:] == ["try_again_later", "goodbye"]
    assert scene.guesses.wrongs == 3
    assert scene.people(room) == []


async def test_a_wrong_pin_counts_against_its_room(scene: StorySet) -> None:
    room = await scene.room(pin=PIN)
    call = scene.call()
    call.phone.press("111222333#" + CODE)
    await call.phone.hears("enter_pin")
    assert scene.guesses.pins_of == [room.id]


async def test_wrong_codes_and_wrong_pins_use_up_the_same_tries(scene: StorySet) -> None:
    await scene.room(pin=PIN)
    call = scene.call()
    call.phone.press("111222333#" + CODE + "00000#11111#")
    assert await call.ends() == "wrong_pin"


async def test_a_restarted_server_asks_for_the_pin_only(scene: StorySet) -> None:
    room = await scene.room(pin=PIN)
    call = scene.call(stage=AskingPin(room=room.id, wrong=1))
    await call.phone.hears("enter_pin")
    call.phone.press(PIN + "#")
    await call.phone.is_in_a_bridge()


async def test_hanging_up_while_the_pin_is_asked_leaves_nobody_in_the_room(scene: StorySet) -> None:
    room = await scene.room(pin=PIN)
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("enter_pin")
    await call.hangs_up()
    assert scene.people(room) == []
