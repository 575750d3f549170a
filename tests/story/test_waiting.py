"""Rooms that cannot be entered, or not yet."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from dialroom.flows import dial_in
from dialroom.flows.stages import Waiting

from .support.stage import CODE, StorySet, at


async def test_a_room_that_is_not_open_plays_music_until_its_session_starts(scene: StorySet) -> None:
    room = await scene.room(starts_with="host")
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("not_open_yet")
    await call.phone.hears("hold_music")
    assert isinstance(call.notes.stage, Waiting)
    assert call.phone.bridge is None
    await scene.browser_joins(room, role="host")
    await call.phone.is_in_a_bridge()
    await call.phone.hears("others_one")
    assert call.notes.words[-2:] == ["waiting", "joined"]


async def test_a_bug_in_what_is_played_meanwhile_is_logged_and_the_caller_comes_in(
    scene: StorySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await scene.room(starts_with="host")
    call = scene.call()
    failed, bug, logged = asyncio.Event(), RuntimeError("a bug"), []

    async def broken(*_items: object, loop: bool = False) -> None:
        failed.set()
        raise bug

    start_playing = call.phone.start_playing
    monkeypatch.setattr(call.phone, "start_playing", broken)
    log = SimpleNamespace(error=lambda what, **fields: logged.append((what, fields["exc_info"])))
    monkeypatch.setattr(dial_in, "_log", log)
    call.phone.press(CODE)
    await failed.wait()
    monkeypatch.setattr(call.phone, "start_playing", start_playing)
    await scene.browser_joins(room, role="host")
    await call.phone.is_in_a_bridge()
    assert logged == [("call.pastime_failed", bug)]


async def test_a_room_opens_by_the_clock(scene: StorySet) -> None:
    await scene.room(opens_at=at(60))
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.is_in_a_bridge()
    assert asyncio.get_running_loop().time() == pytest.approx(60, abs=0.01)


async def test_waiting_ends_with_the_limit(scene: StorySet) -> None:
    await scene.room(starts_with="host")
    call = scene.call()
    call.phone.press(CODE)
    assert await call.ends() == "wait_limit"
    assert call.phone.prompts[-2:] == ["waiting_limit_reached", "goodbye"]
    assert call.phone.heard[-2].at == pytest.approx(scene.settings.wait_limit, abs=0.01)
    assert call.phone.prompts.count("still_waiting") == scene.settings.wait_limit // scene.settings.wait_reminder - 1


async def test_waiting_ends_when_the_room_is_deleted(scene: StorySet) -> None:
    room = await scene.room(opens_at=at(60))
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("hold_music")
    await scene.rooms.delete(room.organisation, room.id)
    assert await call.ends() == "room_ended"
    assert call.phone.prompts[-2:] == ["meeting_ended", "goodbye"]


async def test_keys_pressed_while_waiting_mean_nothing_in_the_room(scene: StorySet) -> None:
    room = await scene.room(starts_with="host")
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("hold_music")
    call.phone.press("*6")
    await scene.browser_joins(room, role="host")
    await call.phone.hears("others_one")
    call.phone.press("*8")
    await call.phone.hears("people_before")
    assert "muted" not in call.phone.prompts
    assert not call.phone.is_muted


async def test_keys_pressed_while_waiting_mean_nothing_in_a_room_that_opened_during_a_restart(scene: StorySet) -> None:
    room = await scene.room(starts_with="host")
    await scene.browser_joins(room, role="host")
    call = scene.call(stage=Waiting(room=room.id, until=at(30)))
    call.phone.press("*6")
    await call.phone.hears("others_one")
    call.phone.press("*8")
    await call.phone.hears("people_before")
    assert "muted" not in call.phone.prompts
    assert not call.phone.is_muted


async def test_hanging_up_while_waiting_leaves_nobody(scene: StorySet) -> None:
    room = await scene.room(starts_with="host")
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("hold_music")
    await call.hangs_up()
    await scene.browser_joins(room, role="host")
    assert scene.people(room) == ["Ada"]


async def test_a_restarted_server_lets_the_music_play_on_and_keeps_the_limit(scene: StorySet) -> None:
    room = await scene.room(starts_with="host")
    call = scene.call(stage=Waiting(room=room.id, until=at(30)))
    await call.phone.start_playing([], loop=True)
    assert await call.ends() == "wait_limit"
    assert call.phone.prompts == ["waiting_limit_reached", "goodbye"]
    assert call.phone.heard[0].at == 30


async def test_a_restarted_server_plays_music_anew_to_who_waits_in_silence(scene: StorySet) -> None:
    room = await scene.room(starts_with="host")
    call = scene.call(stage=Waiting(room=room.id, until=at(30)))
    await call.phone.hears("not_open_yet")
    await call.phone.hears("hold_music")


async def test_a_locked_room_is_said_so(scene: StorySet) -> None:
    await scene.room(locked=True)
    call = scene.call()
    call.phone.press(CODE)
    assert await call.ends() == "room_locked"
    assert call.phone.prompts == ["room_locked", "goodbye"]


async def test_a_full_room_is_said_so(scene: StorySet) -> None:
    room = await scene.room(max_participants=1)
    await scene.browser_joins(room)
    call = scene.call()
    call.phone.press(CODE)
    assert await call.ends() == "room_full"
    assert call.phone.prompts == ["room_full", "goodbye"]


async def test_an_expired_room_is_said_to_have_ended(scene: StorySet) -> None:
    await scene.room(expires_at=at(-1))
    call = scene.call()
    call.phone.press(CODE)
    assert await call.ends() == "room_ended"
    assert call.phone.prompts == ["meeting_ended", "goodbye"]


async def test_a_room_without_dial_in_is_not_found_by_any_code(scene: StorySet) -> None:
    room = await scene.room()
    await scene.rooms.change(room.organisation, room.id, dial_in=False)
    call = scene.call()
    call.phone.press(CODE + "#")
    await call.phone.hears("wrong_code")


async def test_hanging_up_while_being_told_goodbye_is_still_the_same_ending(scene: StorySet) -> None:
    await scene.room(locked=True)
    call = scene.call()
    call.phone.press(CODE)
    await call.phone.hears("room_locked")
    await call.hangs_up()
    assert "room_locked" in call.notes.words
