from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dialroom.calls.clips import ClipShelf
from dialroom.media.fake import FakeMediaPlane
from dialroom.media.plane import MediaRefused
from dialroom.media.protocol import PlayClip, PlaySilence, PutClip

from .switchboard_room import silent_prompts

MENU = PlayClip(clip="en/menu@0")


@pytest.fixture
def media() -> FakeMediaPlane:
    return FakeMediaPlane()


@pytest.fixture
def shelf(media: FakeMediaPlane, tmp_path: Path) -> ClipShelf:
    return ClipShelf(media, silent_prompts(tmp_path))


async def test_a_clip_is_brought_once_however_many_callers_need_it(shelf: ClipShelf, media: FakeMediaPlane) -> None:
    await asyncio.gather(*(shelf.ensure([MENU]) for _ in range(50)))
    await shelf.ensure([MENU, PlaySilence(duration=100)])
    assert [put.clip for put in media.sent(PutClip)] == ["en/menu@0"]
    assert media.clips == {"en/menu@0": b"RIFF"}


async def test_what_the_media_process_has_already_is_not_brought(shelf: ClipShelf, media: FakeMediaPlane) -> None:
    media.clips["en/menu@0"] = b"RIFF"
    shelf.holds(media.snapshot())
    await shelf.ensure([MENU])
    assert media.sent(PutClip) == []


async def test_a_new_media_process_gets_the_clips_again(shelf: ClipShelf, media: FakeMediaPlane) -> None:
    await shelf.ensure([MENU])
    media.lose_link()
    media.clips.clear()
    media.regain_link()
    await shelf.ensure([MENU])
    assert media.clips


async def test_a_clip_that_was_refused_is_tried_again_the_next_time(shelf: ClipShelf, media: FakeMediaPlane) -> None:
    media.refuse_next(PutClip, "bad_audio")
    with pytest.raises(MediaRefused):
        await shelf.ensure([MENU])
    await shelf.ensure([MENU])
    assert media.clips


def test_the_length_of_what_is_played_is_known(shelf: ClipShelf) -> None:
    assert shelf.seconds([MENU, MENU, PlaySilence(duration=300)]) == 0.5
