from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dialroom.core.errors import StoreUnavailable
from dialroom.rooms.directory import NewRoom, Rooms
from dialroom.rooms.values import Number, Organisation
from dialroom.store.dialled import KEPT, MAX_KEPT, Dialled, Found
from dialroom.store.store import Store
from tests.support.clock import NOON, ManualClock


def _number(organisation: str, room: str | None = None) -> Number:
    return Number(
        id="num_aaaaaaaaaaaaaaaaaaaa",
        organisation=organisation,
        number="1000",
        display="1000",
        country=None,
        language=None,
        dial_in=True,
        room=room,
        created_at=NOON,
    )


class Reader:
    """Finds what `found` says, and counts how often it was asked."""

    def __init__(self) -> None:
        self.found: Found = ()
        self.asked = 0

    async def __call__(self, _number: str) -> Found:
        self.asked += 1
        found = self.found
        await asyncio.sleep(0)
        return found


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def dialled(clock: ManualClock) -> Dialled:
    return Dialled(clock.monotonic)


async def test_a_number_is_read_once_in_a_while(dialled: Dialled, reader: Reader, clock: ManualClock) -> None:
    for _ in range(3):
        assert await dialled.find("1000", reader) == ()
    assert reader.asked == 1
    reader.found = (_number("org_a"),)
    clock.set(KEPT)
    assert await dialled.find("1000", reader) == reader.found


async def test_what_was_read_while_numbers_changed_is_not_kept(dialled: Dialled, reader: Reader) -> None:
    reading = asyncio.create_task(dialled.find("1000", reader))
    await asyncio.sleep(0)
    reader.found = (_number("org_a"),)
    dialled.changed()
    assert await reading == ()
    assert await dialled.find("1000", reader) == reader.found


async def test_who_dials_everything_fills_no_memory(dialled: Dialled, reader: Reader) -> None:
    for number in range(MAX_KEPT):
        await dialled.find(str(number), reader)
    await dialled.find("one more", reader)
    await dialled.find("0", reader)
    assert reader.asked == MAX_KEPT + 2


async def test_a_number_that_cannot_be_read_is_asked_for_again(dialled: Dialled, reader: Reader) -> None:
    async def away(_number: str) -> Found:
        raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        await dialled.find("1000", away)
    assert await dialled.find("1000", reader) == ()


async def test_a_change_of_a_number_holds_for_the_next_call(store: Store, ours: Organisation) -> None:
    number = _number(ours.id)
    assert await store.numbers.dialled("1000") == ()
    await store.numbers.create(number)
    assert await store.numbers.dialled("1000") == (number,)
    changed = await store.numbers.change(ours.id, number.id, lambda before: replace(before, dial_in=False))
    assert not changed.dial_in
    assert await store.numbers.dialled("1000") == (changed,)
    await store.numbers.delete(ours.id, number.id)
    assert await store.numbers.dialled("1000") == ()


async def test_a_number_leads_no_longer_into_a_deleted_room(store: Store, ours: Organisation, rooms: Rooms) -> None:
    room = await rooms.create(ours.id, NewRoom(name="Room"))
    await store.numbers.create(_number(ours.id, room.id))
    assert (await store.numbers.dialled("1000"))[0].room == room.id
    await rooms.delete(ours.id, room.id)
    assert (await store.numbers.dialled("1000"))[0].room is None
