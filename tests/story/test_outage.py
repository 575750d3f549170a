"""What a caller hears while the database or the media process is out of reach."""

from __future__ import annotations

import asyncio

import pytest

from .support.phone import CLIP_SECONDS
from .support.stage import CODE, PIN, StorySet


@pytest.mark.parametrize("keys", [CODE + "#", CODE])
async def test_a_code_typed_while_the_database_is_away_is_looked_at_when_it_is_back(scene: StorySet, keys: str) -> None:
    room = await scene.room()
    scene.room_store.away = True
    call = scene.call()
    call.phone.press(keys)
    await call.phone.hears("one_moment", times=2)
    scene.room_store.away = False
    await call.phone.is_in_a_bridge()
    assert scene.people(room) == ["Phone 1"]
    assert scene.guesses.wrongs == 0
    assert "wrong_code" not in call.phone.prompts


async def test_an_outage_that_lasts_ends_the_call_with_an_apology(scene: StorySet) -> None:
    scene.room_store.away = True
    call = scene.call()
    call.phone.press(CODE + "#")
    first, second = await call.phone.hears("one_moment"), await call.phone.hears("one_moment", times=2)
    assert second.at - first.at == scene.settings.outage_pause + CLIP_SECONDS
    assert await call.ends() == "store_unavailable"
    assert call.phone.prompts[-2:] == ["error_hang_up", "goodbye"]
    assert asyncio.get_running_loop().time() < 2 * scene.settings.outage_limit


async def test_a_seat_is_given_when_the_database_is_back(scene: StorySet) -> None:
    room = await scene.room(pin=PIN)
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("enter_pin")
    scene.meeting_store.away = True
    call.phone.press(PIN + "#")
    await call.phone.hears("one_moment")
    assert scene.people(room) == []
    scene.meeting_store.away = False
    await call.phone.is_in_a_bridge()


async def test_a_number_that_leads_into_a_room_waits_for_the_database_too(scene: StorySet) -> None:
    room = await scene.room()
    scene.room_store.away = True
    call = scene.call(straight_into=room.id)
    await call.phone.hears("one_moment")
    scene.room_store.away = False
    await call.phone.is_in_a_bridge()


async def test_the_reason_of_a_goodbye_that_cannot_be_said_stays_on_record(scene: StorySet) -> None:
    room = await scene.room()
    call = scene.call(straight_into=room.id)
    await call.phone.hears("menu_hint")
    call.phone.media_away = True
    await scene.rooms.delete(room.organisation, room.id)
    assert await call.ends() == "session_ended"
    assert call.phone.hung_up == "session_ended"


async def test_an_entry_that_cannot_be_announced_costs_nobody_the_call(scene: StorySet) -> None:
    room = await scene.room()
    call = scene.call(straight_into=room.id)
    join = call.phone.join

    async def join_and_lose(bridge: str, participant: str, *, muted: bool) -> None:
        await join(bridge, participant, muted=muted)
        call.phone.media_away = True

    call.phone.join = join_and_lose  # type: ignore[method-assign]
    await call.phone.asked_in_vain.wait()
    call.phone.media_away = False
    call.phone.press("*8")
    await call.phone.hears("only_you")
    assert scene.people(room) == ["Phone 1"]


async def test_music_and_reminders_go_on_after_the_media_process_was_out_of_reach(scene: StorySet) -> None:
    room = await scene.room(starts_with="host")
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("hold_music")
    call.phone.media_away = True
    await call.phone.asked_in_vain.wait()
    call.phone.media_away = False
    await call.phone.hears("hold_music", times=2)
    await call.phone.hears("still_waiting", times=2)
    await scene.browser_joins(room, role="host")
    await call.phone.is_in_a_bridge()
