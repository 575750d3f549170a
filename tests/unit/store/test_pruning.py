from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from sqlalchemy import update

from dialroom.core.events import Event, new_event
from dialroom.rooms.values import Organisation
from dialroom.store import store as store_module
from dialroom.store.store import Retention, Store
from dialroom.store.tables import webhook_endpoints
from dialroom.webhooks.endpoints import Endpoints
from dialroom.webhooks.schedule import PROBE_FROM, RETRY_FOR
from dialroom.webhooks.values import Attempt, Endpoint, Outcome
from tests.support.clock import NOON, ManualClock

DELIVERED = Outcome(state="delivered", retry_at=None, endpoint_failures=0, endpoint_retry_at=None)


@pytest.fixture
async def endpoint(any_store: Store, organisation: Organisation, clock: ManualClock) -> Endpoint:
    await any_store.organisations.create(organisation)
    return await Endpoints(any_store.webhooks, clock).create(organisation.id, "https://example.com")


async def _happen(store: Store, organisation: Organisation, clock: ManualClock, subjects: Iterable[str]) -> list[Event]:
    events = [new_event(organisation.id, "call.received", clock.now(), subject, {}) for subject in subjects]
    await store.meetings.write(events=events)
    return events


async def _states(store: Store, organisation: Organisation) -> list[str]:
    return sorted(each.state for each in (await store.webhooks.page_deliveries(organisation.id, limit=200)).items)


async def _fails(store: Store, endpoint: Endpoint) -> None:
    failing = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint.id).values(failures=PROBE_FROM)
    await store._database.write(lambda c: c.execute(failing))


async def test_more_than_fits_one_transaction_is_forgotten_in_several(
    any_store: Store, organisation: Organisation, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_BATCH", 3)
    await any_store.organisations.create(organisation)
    old = await _happen(any_store, organisation, clock, [f"call_{each}" for each in range(10)])
    clock.set(timedelta(days=8).total_seconds())
    (young,) = await _happen(any_store, organisation, clock, ["call_young"])
    await any_store.prune(clock, Retention(events=timedelta(days=7)))
    assert (await any_store.webhooks.page_events(organisation.id, None, None, None)).items == (young,)
    assert len(old) == 10


async def test_what_waited_too_long_for_a_receiver_that_fails_is_given_up_untried(
    any_store: Store, organisation: Organisation, endpoint: Endpoint, clock: ManualClock
) -> None:
    await _happen(any_store, organisation, clock, ["call_1", "call_1", "call_2"])
    clock.set(RETRY_FOR.total_seconds() + 1)
    await _happen(any_store, organisation, clock, ["call_3"])
    await any_store.prune(clock)
    assert await _states(any_store, organisation) == ["pending"] * 4  # the receiver is well: they are only late
    await _fails(any_store, endpoint)
    await any_store.prune(clock)
    assert await _states(any_store, organisation) == ["dead", "dead", "dead", "pending"]
    assert await any_store.webhooks.replay_dead(organisation.id, endpoint.id, clock.now()) == 3


async def test_events_that_wait_for_an_endpoint_are_kept_unless_it_is_switched_off(
    any_store: Store, organisation: Organisation, endpoint: Endpoint, clock: ManualClock
) -> None:
    (event,) = await _happen(any_store, organisation, clock, ["call_1"])
    clock.set(timedelta(days=31).total_seconds())
    await any_store.prune(clock)
    assert await any_store.webhooks.find_event(organisation.id, event.id) == event
    await Endpoints(any_store.webhooks, clock).change(organisation.id, endpoint.id, enabled=False)
    await any_store.prune(clock)
    assert await any_store.webhooks.find_event(organisation.id, event.id) is None
    assert await _states(any_store, organisation) == []


async def test_what_is_deleted_while_it_is_sent_leaves_no_trouble(
    any_store: Store, organisation: Organisation, endpoint: Endpoint, clock: ManualClock
) -> None:
    await _happen(any_store, organisation, clock, ["call_1"])
    (task,) = await any_store.webhooks.claim(endpoint.id, 1, clock.now(), clock.now() + timedelta(seconds=60))
    await any_store.webhooks.delete_endpoint(organisation.id, endpoint.id)
    await any_store.webhooks.finish(task, Attempt(at=NOON, status=204, error=None, duration_ms=5), DELIVERED)
    assert await _states(any_store, organisation) == []


async def test_the_next_moment_something_becomes_due_is_known(
    any_store: Store, organisation: Organisation, endpoint: Endpoint, clock: ManualClock
) -> None:
    webhooks = any_store.webhooks
    assert await webhooks.next_due(clock.now()) is None
    await _happen(any_store, organisation, clock, ["call_1"])
    assert await webhooks.next_due(clock.now()) is None  # due already
    (task,) = await webhooks.claim(endpoint.id, 1, clock.now(), clock.now() + timedelta(seconds=60))
    assert await webhooks.next_due(clock.now()) == clock.now() + timedelta(seconds=60)
    again = clock.now() + timedelta(seconds=5)
    failed = Outcome(state="pending", retry_at=again, endpoint_failures=1, endpoint_retry_at=None)
    await webhooks.finish(task, Attempt(at=clock.now(), status=500, error=None, duration_ms=5), failed)
    assert await webhooks.next_due(clock.now()) == again
    clock.set(5)
    (task,) = await webhooks.claim(endpoint.id, 1, clock.now(), clock.now() + timedelta(seconds=60))
    later = clock.now() + timedelta(seconds=300)
    probing = Outcome(state="pending", retry_at=clock.now(), endpoint_failures=6, endpoint_retry_at=later)
    await webhooks.finish(task, Attempt(at=clock.now(), status=None, error="timeout", duration_ms=5), probing)
    assert await webhooks.next_due(clock.now()) == later
