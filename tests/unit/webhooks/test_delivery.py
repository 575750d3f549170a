from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import update
from standardwebhooks import Webhook, WebhookVerificationError

from dialroom.core.errors import Conflict, Invalid, NotFound, StoreUnavailable, Unavailable
from dialroom.core.events import Event, new_event
from dialroom.net.http import GuardedHttp
from dialroom.rooms.values import Organisation
from dialroom.store.store import Store
from dialroom.store.tables import webhook_endpoints
from dialroom.webhooks.delivery import LEASE, Deliverer
from dialroom.webhooks.endpoints import MAX_ENDPOINTS, Endpoints
from dialroom.webhooks.values import Attempt, Delivery, Endpoint
from tests.support.clock import ManualClock
from tests.support.receiver import Received, Receiver, running_receiver, status

LOOPBACK = (ip_network("127.0.0.0/8"),)
Start = Callable[[], asyncio.Task[None]]


@pytest.fixture
def clock() -> ManualClock:
    """Starts now: the receivers' library compares with the machine's clock."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def endpoints(store: Store, clock: ManualClock) -> Endpoints:
    return Endpoints(store.webhooks, clock, LOOPBACK)


@pytest.fixture
async def endpoint(endpoints: Endpoints, ours: Organisation, receiver: Receiver) -> Endpoint:
    return await endpoints.create(ours.id, receiver.url)


@pytest.fixture
async def start(store: Store, clock: ManualClock) -> AsyncIterator[Start]:
    """Starts a deliverer, as a new process would."""
    http = GuardedHttp(LOOPBACK, timeout=5)
    running: list[asyncio.Task[None]] = []

    def start() -> asyncio.Task[None]:
        task = asyncio.create_task(Deliverer(store.webhooks, http, clock, lambda: 0.5).run())
        running.append(task)
        return task

    yield start
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await http.close()


class Outbox:
    """The events of an organisation, and what becomes of their deliveries."""

    def __init__(self, store: Store, organisation: Organisation, clock: ManualClock) -> None:
        self._store = store
        self._organisation = organisation.id
        self._clock = clock

    async def happen(self, subject: str, *numbers: int) -> list[Event]:
        """Events with these numbers, in one transaction."""
        now = self._clock.now()
        events = [new_event(self._organisation, "call.received", now, subject, {"number": each}) for each in numbers]
        await self._store.meetings.write(events=events)
        return events

    async def deliveries(self) -> tuple[Delivery, ...]:
        return (await self._store.webhooks.page_deliveries(self._organisation)).items

    async def attempts(self) -> list[Attempt]:
        """All attempts that are in the log."""
        return [
            attempt
            for each in await self.deliveries()
            for attempt in (await self._store.webhooks.page_attempts(self._organisation, each.id, None, None)).items
        ]

    async def until_states(self, *states: str) -> tuple[Delivery, ...]:
        """Wait until the deliveries have these states, in any order; the deliveries, oldest first."""
        async with asyncio.timeout(10):
            while True:
                found = sorted(await self.deliveries(), key=lambda each: each.due)
                if sorted(each.state for each in found) == sorted(states):
                    return tuple(found)
                await asyncio.sleep(0.005)

    async def until_attempts(self, count: int) -> list[Attempt]:
        """Wait until so many attempts are in the log."""
        async with asyncio.timeout(10):
            while True:
                if len(found := await self.attempts()) >= count:
                    return found
                await asyncio.sleep(0.005)


@pytest.fixture
def outbox(store: Store, ours: Organisation, clock: ManualClock) -> Outbox:
    return Outbox(store, ours, clock)


def _numbers(received: list[Received]) -> list[int]:
    return [json.loads(request.body)["data"]["number"] for request in received]


# --- what arrives ----------------------------------------------------------------------------------------------------


async def test_a_receiver_can_verify_what_it_gets_with_the_standard_library(
    outbox: Outbox, receiver: Receiver, endpoint: Endpoint, start: Start
) -> None:
    start()
    (event,) = await outbox.happen("call_1", 7)
    (request,) = await receiver.wait_for(1)
    body = Webhook(endpoint.secret).verify(request.body, request.headers)
    assert body["type"] == "call.received"
    assert body["data"] == {"number": 7}
    assert request.headers["webhook-id"] == event.id
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secret).verify(request.body + b" ", request.headers)
    await outbox.until_states("delivered")
    (attempt,) = await outbox.attempts()
    assert (attempt.status, attempt.error) == (204, None)


async def test_while_a_secret_is_rotated_both_verify(
    ours: Organisation,
    clock: ManualClock,
    outbox: Outbox,
    receiver: Receiver,
    endpoint: Endpoint,
    endpoints: Endpoints,
    start: Start,
) -> None:
    start()
    rotated = await endpoints.rotate_secret(ours.id, endpoint.id)
    await outbox.happen("call_1", 1)
    (request,) = await receiver.wait_for(1)
    Webhook(endpoint.secret).verify(request.body, request.headers)
    Webhook(rotated.secret).verify(request.body, request.headers)
    clock.set(timedelta(hours=24).total_seconds())
    await outbox.happen("call_1", 2)
    request = (await receiver.wait_for(2))[1]
    assert len(request.headers["webhook-signature"].split(" ")) == 1


async def test_only_what_was_asked_for_is_sent_and_only_to_its_organisation(
    store: Store,
    ours: Organisation,
    theirs: Organisation,
    clock: ManualClock,
    outbox: Outbox,
    receiver: Receiver,
    endpoints: Endpoints,
    start: Start,
) -> None:
    start()
    their_outbox = Outbox(store, theirs, clock)
    await endpoints.create(ours.id, receiver.url, ["session.*"])
    await endpoints.create(theirs.id, receiver.url + "/theirs", ["call.*"])
    await outbox.happen("call_1", 1)
    await their_outbox.happen("call_2", 2)
    (request,) = await receiver.wait_for(1)
    assert (request.path, _numbers([request])) == ("/hook/theirs", [2])
    assert await outbox.deliveries() == ()
    assert len(await their_outbox.until_states("delivered")) == 1


async def test_a_change_that_is_rolled_back_sends_nothing(
    store: Store, ours: Organisation, clock: ManualClock, outbox: Outbox, endpoint: Endpoint
) -> None:
    event = new_event(ours.id, "call.received", clock.now(), "call_1", {})
    with pytest.raises(Exception, match="UNIQUE"):
        await store.meetings.write(events=[event, event])
    assert await outbox.deliveries() == ()


# --- order and retries -----------------------------------------------------------------------------------------------


async def test_events_of_one_subject_arrive_in_order_even_when_one_fails(
    clock: ManualClock, outbox: Outbox, receiver: Receiver, endpoint: Endpoint, start: Start
) -> None:
    receiver.answer_with(204, 500, 204)
    start()
    await outbox.happen("call_1", *range(5))
    await receiver.wait_for(2)
    await outbox.until_attempts(2)
    assert _numbers(receiver.received) == [0, 1]
    await clock.advance(5)
    assert _numbers(await receiver.wait_for(6)) == [0, 1, 1, 2, 3, 4]
    assert len({request.headers["webhook-id"] for request in receiver.received[1:3]}) == 1


async def test_a_subject_that_waits_does_not_hold_up_another(
    outbox: Outbox, receiver: Receiver, endpoint: Endpoint, start: Start
) -> None:
    async def answer(request: Received) -> bytes:
        return status(500 if _numbers([request]) == [1] else 204)

    receiver.answer = answer
    start()
    await outbox.happen("call_1", 1, 2)
    await receiver.wait_for(1)
    await outbox.until_attempts(1)
    await outbox.happen("call_2", 3)
    assert _numbers(await receiver.wait_for(2)) == [1, 3]


async def test_a_receiver_that_hangs_does_not_hold_up_another(
    ours: Organisation, outbox: Outbox, receiver: Receiver, endpoint: Endpoint, endpoints: Endpoints, start: Start
) -> None:
    release = asyncio.Event()

    async def hang(_request: Received) -> bytes:
        await release.wait()
        return status(204)

    receiver.answer = hang
    async with running_receiver() as quick:
        await endpoints.create(ours.id, quick.url)
        start()
        for number in range(20):
            await outbox.happen(f"call_{number}", number)
        assert sorted(_numbers(await quick.wait_for(20))) == list(range(20))
        assert len(receiver.received) == 8
        release.set()
        assert sorted(_numbers(await receiver.wait_for(20))) == list(range(20))


async def test_an_endpoint_that_cannot_be_read_does_not_hold_up_another(
    store: Store,
    ours: Organisation,
    outbox: Outbox,
    receiver: Receiver,
    endpoint: Endpoint,
    endpoints: Endpoints,
    start: Start,
) -> None:
    spoilt = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint.id).values(secret=b"of another key")
    await store._database.write(lambda c: c.execute(spoilt))
    async with running_receiver() as other:
        await endpoints.create(ours.id, other.url)
        start()
        await outbox.happen("call_1", 1)
        assert _numbers(await other.wait_for(1)) == [1]
    assert receiver.received == []


async def test_a_receiver_down_for_six_hours_gets_everything_in_order_within_ten_minutes_of_its_return(
    store: Store,
    ours: Organisation,
    clock: ManualClock,
    outbox: Outbox,
    receiver: Receiver,
    endpoint: Endpoint,
    start: Start,
) -> None:
    receiver.answer_with(503)
    start()
    for number in range(10):
        for subject in ("call_a", "call_b", "call_c"):
            await outbox.happen(subject, number)
    await receiver.wait_for(3)
    for _ in range(72):
        requests = len(receiver.received)
        await clock.advance(300)
        await _until_quiet(clock)
        assert len(receiver.received) - requests <= 10  # one probe at a time, however much waits
    receiver.received.clear()
    receiver.answer_with(204)
    came_back = clock.now()
    while len(receiver.received) < 30:
        await clock.advance(30)
        await _until_quiet(clock, lambda: len(receiver.received) >= 30)
        assert clock.now() - came_back <= timedelta(minutes=10)
    by_subject: dict[str, list[int]] = {}
    for request in receiver.received:
        event = await store.webhooks.find_event(ours.id, request.headers["webhook-id"])
        assert event is not None
        by_subject.setdefault(event.subject, []).append(event.data["number"])
    assert by_subject == {subject: list(range(10)) for subject in ("call_a", "call_b", "call_c")}


async def _until_quiet(clock: ManualClock, done: Callable[[], bool] = lambda: False) -> None:
    """Wait until the deliverer has slept on the clock for a while, or is done."""
    quiet = 0
    async with asyncio.timeout(10):
        while quiet < 3 and not done():
            await asyncio.sleep(0.01)
            quiet = quiet + 1 if clock.sleeping else 0


async def test_what_the_receiver_refuses_is_parked_and_can_be_replayed(
    ours: Organisation,
    clock: ManualClock,
    outbox: Outbox,
    receiver: Receiver,
    endpoint: Endpoint,
    endpoints: Endpoints,
    start: Start,
) -> None:
    refused = {1}

    async def answer(request: Received) -> bytes:
        return status(422 if refused & set(_numbers([request])) else 204)

    receiver.answer = answer
    start()
    first, second = await outbox.happen("call_1", 1, 2)
    for tries in range(1, 6):
        await receiver.wait_for(tries)
        await outbox.until_attempts(tries)
        await clock.advance(150)
    assert _numbers(await receiver.wait_for(6)) == [1] * 5 + [2]
    dead = [each for each in await outbox.until_states("dead", "delivered") if each.state == "dead"]
    assert [each.event for each in dead] == [first.id]
    refused.clear()
    assert await endpoints.replay_dead(ours.id, endpoint.id) == 1
    assert _numbers(await receiver.wait_for(7))[-1] == 1
    await outbox.until_states("delivered", "delivered")
    assert await endpoints.replay(ours.id, second.id) == 1
    assert _numbers(await receiver.wait_for(8))[-1] == 2


async def test_a_receiver_that_is_gone_is_disabled_and_gets_nothing_until_it_is_enabled(
    ours: Organisation, outbox: Outbox, receiver: Receiver, endpoint: Endpoint, endpoints: Endpoints, start: Start
) -> None:
    receiver.answer_with(410)
    start()
    await outbox.happen("call_1", 1, 2)
    await outbox.until_states("dead", "pending")
    disabled = await endpoints.read(ours.id, endpoint.id)
    assert not disabled.enabled
    assert disabled.disabled_reason is not None
    async with running_receiver() as other:
        await endpoints.create(ours.id, other.url)
        await outbox.happen("call_1", 3)
        await outbox.until_states("dead", "pending", "delivered")
        assert _numbers(other.received) == [3]
    assert _numbers(receiver.received) == [1]
    receiver.answer_with(204)
    enabled = await endpoints.change(ours.id, endpoint.id, enabled=True)
    assert (enabled.enabled, enabled.disabled_reason) == (True, None)
    assert _numbers(await receiver.wait_for(2)) == [1, 2]


async def test_an_inner_address_is_blocked_and_that_is_shown(
    store: Store, clock: ManualClock, outbox: Outbox, receiver: Receiver, endpoint: Endpoint
) -> None:
    http = GuardedHttp()
    task = asyncio.create_task(Deliverer(store.webhooks, http, clock).run())
    await outbox.happen("call_1", 1)
    (attempt,) = await outbox.until_attempts(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await http.close()
    assert attempt.status is None
    assert attempt.error is not None
    assert attempt.error.startswith("address_refused")
    assert receiver.received == []


# --- restart ---------------------------------------------------------------------------------------------------------


async def test_what_was_not_delivered_is_delivered_by_the_next_process(
    outbox: Outbox, receiver: Receiver, endpoint: Endpoint, start: Start
) -> None:
    await outbox.happen("call_1", 1, 2, 3)
    start()
    assert _numbers(await receiver.wait_for(3)) == [1, 2, 3]


async def test_a_deliverer_that_is_stopped_gives_back_what_it_was_sending(
    outbox: Outbox, receiver: Receiver, endpoint: Endpoint, start: Start
) -> None:
    async def hang(_request: Received) -> bytes:
        await asyncio.sleep(60)
        return b""

    receiver.answer = hang
    stopped = start()
    await outbox.happen("call_1", 1)
    await receiver.wait_for(1)
    stopped.cancel()
    await asyncio.gather(stopped, return_exceptions=True)
    receiver.answer_with(204)
    start()
    assert _numbers(await receiver.wait_for(2)) == [1, 1]


async def test_what_a_killed_process_was_sending_is_sent_when_its_lease_ran_out(
    store: Store, clock: ManualClock, outbox: Outbox, receiver: Receiver, endpoint: Endpoint, start: Start
) -> None:
    await outbox.happen("call_1", 1)
    claimed = await store.webhooks.claim(endpoint.id, 8, clock.now(), clock.now() + LEASE)
    assert len(claimed) == 1
    start()
    await _until_quiet(clock)
    assert receiver.received == []
    await clock.advance(LEASE.total_seconds())
    assert _numbers(await receiver.wait_for(1)) == [1]


async def test_of_many_claimers_one_gets_each_delivery(
    any_store: Store, clock: ManualClock, organisation: Organisation
) -> None:
    await any_store.organisations.create(organisation)
    endpoint = await Endpoints(any_store.webhooks, clock).create(organisation.id, "https://example.com")
    for number in range(60):
        await Outbox(any_store, organisation, clock).happen(f"call_{number % 30}", number)
    until = clock.now() + LEASE
    claims = await asyncio.gather(*(any_store.webhooks.claim(endpoint.id, 10, clock.now(), until) for _ in range(8)))
    claimed = [task for claim in claims for task in claim]
    assert len({task.delivery.id for task in claimed}) == len(claimed)
    assert sorted(task.event.data["number"] for task in claimed) == list(range(30))
    assert await any_store.webhooks.due(clock.now()) == ()
    assert await any_store.webhooks.next_due(clock.now()) == until


async def test_trouble_with_the_store_does_not_stop_the_deliverer(
    store: Store,
    clock: ManualClock,
    outbox: Outbox,
    receiver: Receiver,
    endpoint: Endpoint,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for trouble in (StoreUnavailable(), Unavailable("A stored secret was changed."), RuntimeError("a bug")):
        received = len(receiver.received)
        with monkeypatch.context() as broken:
            broken.setattr(store.webhooks, "due", AsyncMock(side_effect=trouble))
            task = start()
            await outbox.happen("call_1", received)
            await _until_quiet(clock)
        assert len(receiver.received) == received
        await clock.advance(10)
        await receiver.wait_for(received + 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- endpoints -------------------------------------------------------------------------------------------------------


async def test_an_endpoint_is_kept_as_it_was_made(endpoints: Endpoints, ours: Organisation) -> None:
    made = await endpoints.create(ours.id, "https://example.com/hook", ["call.*"], "Our CRM")
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert await endpoints.read(ours.id, made.id) == made
    assert (await endpoints.page(ours.id)).items == (made,)
    changed = await endpoints.change(ours.id, made.id, url="https://example.org", filters=("*",))
    assert (changed.url, changed.filters, changed.secret) == ("https://example.org", ("*",), made.secret)
    await endpoints.delete(ours.id, made.id)
    with pytest.raises(NotFound):
        await endpoints.read(ours.id, made.id)


async def test_a_secret_rotated_while_the_endpoint_is_changed_is_the_new_one(
    endpoints: Endpoints, endpoint: Endpoint, ours: Organisation
) -> None:
    rotated, _ = await asyncio.gather(
        endpoints.rotate_secret(ours.id, endpoint.id), endpoints.change(ours.id, endpoint.id, description="ours")
    )
    now = await endpoints.read(ours.id, endpoint.id)
    assert (now.secret, now.previous_secret, now.description) == (rotated.secret, endpoint.secret, "ours")


async def test_an_endpoint_that_could_not_work_is_refused(endpoints: Endpoints, ours: Organisation) -> None:
    for url, filters in (("http://10.0.0.1/", ["*"]), ("nonsense", ["*"]), ("https://example.com", ["nothing"])):
        with pytest.raises(Invalid):
            await endpoints.create(ours.id, url, filters)
    made = await endpoints.create(ours.id, "https://example.com")
    for change in ({"url": "http://[::]/"}, {"filters": ()}, {"secret": "x"}, {"description": "x" * 301}):
        with pytest.raises(Invalid):
            await endpoints.change(ours.id, made.id, **change)


async def test_endpoints_are_bounded(endpoints: Endpoints, ours: Organisation) -> None:
    for _ in range(MAX_ENDPOINTS):
        await endpoints.create(ours.id, "https://example.com")
    with pytest.raises(Conflict):
        await endpoints.create(ours.id, "https://example.com")


async def test_nobody_touches_anothers_endpoints_events_or_deliveries(
    store: Store, outbox: Outbox, endpoints: Endpoints, ours: Organisation, theirs: Organisation, endpoint: Endpoint
) -> None:
    (event,) = await outbox.happen("call_1", 1)
    (delivery,) = await outbox.deliveries()
    for ask in (
        endpoints.read(theirs.id, endpoint.id),
        endpoints.change(theirs.id, endpoint.id, enabled=False),
        endpoints.rotate_secret(theirs.id, endpoint.id),
        endpoints.delete(theirs.id, endpoint.id),
        endpoints.replay(theirs.id, event.id),
        endpoints.replay_dead(theirs.id, endpoint.id),
        store.webhooks.page_attempts(theirs.id, delivery.id, None, None),
    ):
        with pytest.raises(NotFound):
            await ask
    with pytest.raises(NotFound):
        await endpoints.replay(ours.id, event.id, "whk_none")
    assert await store.webhooks.find_event(theirs.id, event.id) is None
    assert (await store.webhooks.page_events(theirs.id, None, None, None)).items == ()
    assert (await store.webhooks.page_events(ours.id, "call.received", None, None)).items == (event,)
    assert (await store.webhooks.page_events(ours.id, "call.ended", None, None)).items == ()
