from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dialroom.core.errors import CodeTaken, Invalid, NotFound, SlugTaken
from dialroom.core.ids import new_id
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.values import Number, Organisation, Room
from tests.support.clock import NOON, ManualClock


def _number(organisation: Organisation) -> Number:
    return Number(
        id=new_id("num"),
        organisation=organisation.id,
        number="+12025550176",
        display="",
        country="US",
        language=None,
        dial_in=True,
        room=None,
        created_at=NOON,
    )


async def test_a_room_is_kept_as_it_was_made(rooms: Rooms, ours: Organisation) -> None:
    new = NewRoom(
        name=" Board ",
        slug="board",
        code="4711471",
        pin="1234",
        language="ja",
        opens_at=NOON,
        expires_at=NOON + timedelta(days=1),
        max_participants=7,
        locked=True,
        starts_with="host",
        guests=False,
        metadata={"a": [1, {"b": None}]},
    )
    made = await rooms.create(ours.id, new)
    assert made.name == "Board"
    assert await rooms.read(ours.id, made.id) == made
    assert await rooms.by_slug("board") == made


async def test_a_room_gets_a_code_and_a_link_nobody_guesses(rooms: Rooms, ours: Organisation) -> None:
    made = await rooms.create(ours.id, NewRoom(name="Room"))
    assert made.code is not None
    assert len(made.code) == 9
    assert len(made.slug) == 12
    assert len(made.host_key) == 32


async def test_a_room_without_dial_in_has_no_code(rooms: Rooms, ours: Organisation) -> None:
    made = await rooms.create(ours.id, NewRoom(name="Room", dial_in=False))
    assert made.code is None
    with pytest.raises(Invalid):  # it would be lost without a word
        await rooms.create(ours.id, NewRoom(name="Room", dial_in=False, code="471147"))
    changed = await rooms.change(ours.id, made.id, dial_in=True)
    assert changed.code is not None
    assert (await rooms.change(ours.id, made.id, dial_in=False)).code is None


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"slug": "Ab"}, "slug"),
        ({"slug": "../etc"}, "slug"),
        ({"code": "12"}, "code"),
        ({"pin": "abcd"}, "pin"),
        ({"language": "tlh"}, "language"),
        ({"max_participants": 0}, "max_participants"),
        ({"max_participants": 10**6}, "max_participants"),
        ({"starts_with": "nobody"}, "starts_with"),
        ({"opens_at": datetime(2026, 1, 1)}, "opens_at"),
        ({"opens_at": NOON, "expires_at": NOON}, "expires_at"),
        ({"metadata": {"x": "y" * 5000}}, "metadata"),
        ({"metadata": {"x": object()}}, "metadata"),
    ],
)
async def test_a_room_that_cannot_be_is_refused_naming_the_field(
    rooms: Rooms, ours: Organisation, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await rooms.create(ours.id, NewRoom(**{"name": "Room", **settings}))
    assert refused.value.field == field
    assert (await rooms.page(ours.id)).items == ()


async def test_a_code_and_a_link_belong_to_one_room(rooms: Rooms, ours: Organisation) -> None:
    await rooms.create(ours.id, NewRoom(name="Room", slug="room", code="471147"))
    with pytest.raises(CodeTaken):
        await rooms.create(ours.id, NewRoom(name="Other", code="471147"))
    with pytest.raises(SlugTaken):
        await rooms.create(ours.id, NewRoom(name="Other", slug="room"))
    other = await rooms.create(ours.id, NewRoom(name="Other"))
    with pytest.raises(CodeTaken):
        await rooms.change(ours.id, other.id, code="471147")
    with pytest.raises(SlugTaken):
        await rooms.change(ours.id, other.id, slug="room")


async def test_a_drawn_code_that_is_taken_is_drawn_again(
    rooms: Rooms, ours: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = iter(["471147471", "471147471", "471147", "829406157"])
    monkeypatch.setattr("dialroom.rooms.directory.draw_code", lambda _length: next(codes))
    first = await rooms.create(ours.id, NewRoom(name="First"))
    second = await rooms.create(ours.id, NewRoom(name="Second"))
    assert (first.code, second.code) == ("471147471", "829406157")


async def test_only_known_fields_change(rooms: Rooms, ours: Organisation, clock: ManualClock) -> None:
    made = await rooms.create(ours.id, NewRoom(name="Room"))
    clock.set(60)
    changed = await rooms.change(ours.id, made.id, name="New", locked=True)
    assert changed == replace(made, name="New", locked=True, updated_at=clock.now())
    for field in ("id", "organisation", "host_key", "nonsense"):
        with pytest.raises(Invalid, match=field):
            await rooms.change(ours.id, made.id, **{field: "x"})


async def test_changes_to_different_fields_at_once_are_both_kept(rooms: Rooms, ours: Organisation) -> None:
    made = await rooms.create(ours.id, NewRoom(name="Room"))
    await asyncio.gather(
        *(rooms.change(ours.id, made.id, **change) for change in ({"name": "New"}, {"locked": True}, {"pin": "9876"}))
    )
    after = await rooms.read(ours.id, made.id)
    assert (after.name, after.locked, after.pin) == ("New", True, "9876")


async def test_who_watches_hears_of_changes_and_deletion(rooms: Rooms, ours: Organisation) -> None:
    heard: list[tuple[Room | None, Room]] = []
    rooms.watch(lambda after, before: heard.append((after, before)))
    made = await rooms.create(ours.id, NewRoom(name="Room"))
    changed = await rooms.change(ours.id, made.id, name="New")
    await rooms.delete(ours.id, made.id)
    assert heard == [(changed, made), (None, changed)]


async def test_a_deleted_room_is_gone(rooms: Rooms, ours: Organisation) -> None:
    made = await rooms.create(ours.id, NewRoom(name="Room", slug="room"))
    await rooms.delete(ours.id, made.id)
    for ask in (rooms.read(ours.id, made.id), rooms.by_slug("room"), rooms.delete(ours.id, made.id)):
        with pytest.raises(NotFound):
            await ask


async def test_rooms_are_listed_newest_first_page_by_page(rooms: Rooms, ours: Organisation, clock: ManualClock) -> None:
    made = []
    for number in range(7):
        made.append(await rooms.create(ours.id, NewRoom(name=f"Room {number}")))
        clock.set(number % 2)  # some share their time: the id decides
    clock.set(1)
    listed: list[Room] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        page = await rooms.page(ours.id, cursor, 3)
        listed += page.items
        cursor = page.next_cursor
        pages += 1
        await rooms.create(ours.id, NewRoom(name="Too late to be listed"))
    assert pages == 3
    assert sorted(made, key=lambda room: (room.created_at, room.id), reverse=True) == listed
    assert len({room.id for room in listed}) == 7


async def test_one_organisation_sees_nothing_of_another(rooms: Rooms, ours: Organisation, theirs: Organisation) -> None:
    mine = await rooms.create(ours.id, NewRoom(name="Same", code="471147"))
    other = await rooms.create(theirs.id, NewRoom(name="Same", code="471147"))
    assert (await rooms.page(ours.id)).items == (mine,)
    for ask in (
        rooms.read(ours.id, other.id),
        rooms.change(ours.id, other.id, name="Stolen"),
        rooms.delete(ours.id, other.id),
    ):
        with pytest.raises(NotFound):
            await ask
    assert (await rooms.match_code(_number(ours), "471147")).room == mine
    assert (await rooms.match_code(_number(theirs), "471147")).room == other
    assert await rooms.read(theirs.id, other.id) == other


async def test_digits_mean_a_room_as_soon_as_they_can_mean_no_other(rooms: Rooms, ours: Organisation) -> None:
    number = _number(ours)
    short = await rooms.create(ours.id, NewRoom(name="Short", code="4711"))
    long = await rooms.create(ours.id, NewRoom(name="Long", code="471199"))
    alone = await rooms.create(ours.id, NewRoom(name="Alone", code="829406157"))
    kinds = {digits: await rooms.match_code(number, digits) for digits in ("", "4", "471", "5", "47119", "8294061571")}
    assert {digits: match.kind for digits, match in kinds.items()} == {
        "": "none",
        "4": "partial",
        "471": "partial",
        "5": "none",
        "47119": "partial",
        "8294061571": "none",
    }
    assert all(match.room is None for match in kinds.values())
    lengths = {"": 0, "4": 4, "471": 4, "5": 0, "47119": 6, "8294061571": 0}
    assert {digits: match.next_length for digits, match in kinds.items()} == lengths
    unique = await rooms.match_code(number, "4711")
    assert unique.next_length == 6
    assert (unique.kind, unique.room) == ("unique", short)
    complete = await rooms.match_code(number, "471199")
    assert (complete.kind, complete.room) == ("complete", long)
    assert (await rooms.match_code(number, "829406157")).room == alone


@pytest.mark.parametrize("digits", ["4711%", "4_11", "٤٧١١", "4711\0", "4" * 1000, "*", "' OR 1=1 --"])
async def test_what_is_not_digits_means_nothing(rooms: Rooms, ours: Organisation, digits: str) -> None:
    await rooms.create(ours.id, NewRoom(name="Room", code="4711"))
    assert (await rooms.match_code(_number(ours), digits)).kind == "none"


async def test_a_code_without_dial_in_means_nothing(rooms: Rooms, ours: Organisation) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Room", code="4711"))
    await rooms.change(ours.id, room.id, dial_in=False)
    assert (await rooms.match_code(_number(ours), "4711")).kind == "none"


async def test_a_pin_opens_its_room_only(rooms: Rooms, ours: Organisation) -> None:
    open_room = await rooms.create(ours.id, NewRoom(name="Open"))
    closed = await rooms.create(ours.id, NewRoom(name="Closed", pin="1234"))
    assert rooms.check_pin(open_room, "anything")
    assert rooms.check_pin(closed, "1234")
    for wrong in ("", "123", "12345", "1235", "１２３４", "\ud800"):
        assert not rooms.check_pin(closed, wrong)


async def test_a_host_key_makes_a_host_of_its_own_room_only(rooms: Rooms, ours: Organisation) -> None:
    one = await rooms.create(ours.id, NewRoom(name="One"))
    two = await rooms.create(ours.id, NewRoom(name="Two"))
    assert rooms.check_host_key(one, one.host_key)
    assert not rooms.check_host_key(one, two.host_key)
    assert not rooms.check_host_key(one, "")


async def test_secrets_do_not_show_when_a_room_is_printed(rooms: Rooms, ours: Organisation) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Room", code="4711471", pin="987654"))
    assert not any(secret in repr(room) for secret in ("4711471", "987654", room.host_key))
