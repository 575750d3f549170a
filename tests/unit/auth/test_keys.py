from __future__ import annotations

import pytest

from dialroom.auth.keys import ApiKeys, Principal
from dialroom.core.errors import Invalid, NotFound, Unauthenticated
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from tests.support.clock import ManualClock


@pytest.fixture
def keys(store: Store, clock: ManualClock) -> ApiKeys:
    return ApiKeys(store.keys, clock)


async def test_a_key_opens_its_organisation(keys: ApiKeys, ours: Organisation, theirs: Organisation) -> None:
    mine, text = await keys.create(ours.id, "mine")
    _, other = await keys.create(theirs.id, "other")
    assert text.startswith("dr_")
    assert await keys.authenticate(text) == Principal(ours.id, mine.id)
    assert (await keys.authenticate(other)).organisation == theirs.id


async def test_only_a_hash_of_the_key_is_kept(keys: ApiKeys, ours: Organisation, store: Store) -> None:
    key, text = await keys.create(ours.id, "mine")
    kept = await store.keys.find(key.id)
    assert kept == key
    secret = text.split("_", 2)[2]
    assert secret not in repr(kept)
    assert secret.encode() not in key.secret_hash


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text + "A",
        lambda text: text[:-1],
        lambda text: text.upper(),
        lambda text: "dr_" + "a" * 20 + text[23:],
        lambda text: " " + text,
        lambda text: text + "\n",
        lambda _: "",
        lambda _: "Bearer",
        lambda _: "dr_" + "x" * 10_000,
        lambda _: "dr_\ud800",
    ],
)
async def test_anything_but_the_key_is_refused(keys: ApiKeys, ours: Organisation, change: object) -> None:
    _, text = await keys.create(ours.id, "mine")
    with pytest.raises(Unauthenticated):
        await keys.authenticate(change(text))  # type: ignore[operator]


async def test_a_revoked_key_is_refused(keys: ApiKeys, ours: Organisation) -> None:
    key, text = await keys.create(ours.id, "mine")
    await keys.revoke(ours.id, key.id)
    with pytest.raises(Unauthenticated):
        await keys.authenticate(text)


async def test_nobody_sees_or_revokes_anothers_key(keys: ApiKeys, ours: Organisation, theirs: Organisation) -> None:
    key, text = await keys.create(theirs.id, "theirs")
    with pytest.raises(NotFound):
        await keys.revoke(ours.id, key.id)
    assert (await keys.page(ours.id)).items == ()
    assert (await keys.page(theirs.id)).items == (key,)
    await keys.authenticate(text)


@pytest.mark.parametrize("name", ["", "x" * 121, "a\nb"])
async def test_a_keys_name_must_be_readable(keys: ApiKeys, ours: Organisation, name: str) -> None:
    with pytest.raises(Invalid):
        await keys.create(ours.id, name)
