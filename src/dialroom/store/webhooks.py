"""Webhook endpoints, the outbox and the log of deliveries in SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, not_, or_, select, update

from dialroom.core.answers import KeptAnswer
from dialroom.core.errors import NotFound
from dialroom.core.events import Event
from dialroom.core.ids import new_id
from dialroom.core.paging import Page
from dialroom.store.database import Database, mark_filled
from dialroom.store.idempotency import keep_answer
from dialroom.store.paging import delete_oldest, read_page, upserting
from dialroom.store.tables import (
    deliveries,
    delivery_attempts,
    events,
    micros,
    micros_or_none,
    moment,
    moment_or_none,
    webhook_endpoints,
)
from dialroom.store.vault import Vault
from dialroom.webhooks.filters import wants
from dialroom.webhooks.schedule import PROBE_FROM
from dialroom.webhooks.values import Attempt, Delivery, DeliveryState, Endpoint, Outcome, Task, Work

_earlier = deliveries.alias("earlier")

_FIRST_OF_ITS_SUBJECT = not_(
    select(_earlier.c.sequence)
    .where(
        _earlier.c.endpoint == deliveries.c.endpoint,
        _earlier.c.state == "pending",
        _earlier.c.subject == deliveries.c.subject,
        _earlier.c.sequence < deliveries.c.sequence,
    )
    .exists()
)


class SqlWebhooks:
    """`EndpointStore` and `OutboxStore`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    # --- endpoints -------------------------------------------------------------------------------------------------

    async def find_endpoint(self, organisation: str, endpoint: str) -> Endpoint | None:
        query = select(webhook_endpoints).where(_this_endpoint(organisation, endpoint))
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return self._endpoint(row) if row else None

    async def page_endpoints(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Endpoint]:
        table = webhook_endpoints
        query = select(table).where(table.c.organisation == organisation)
        return await self._database.read(
            lambda c: read_page(c, query, table.c.created_at, table.c.id, cursor, limit, self._endpoint)
        )

    async def count_endpoints(self, organisation: str) -> int:
        query = select(func.count()).where(webhook_endpoints.c.organisation == organisation)
        return await self._database.read(lambda c: c.execute(query).scalar_one())

    async def create_endpoint(self, endpoint: Endpoint, answer: KeptAnswer | None = None) -> None:
        values = {
            **self._row(endpoint),
            "id": endpoint.id,
            "organisation": endpoint.organisation,
            "failures": 0,
            "created_at": micros(endpoint.created_at),
        }

        def work(connection: Connection) -> None:
            connection.execute(insert(webhook_endpoints), values)
            keep_answer(connection, self._vault, answer)

        await self._database.write(work)

    async def change_endpoint(
        self, organisation: str, endpoint: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint:
        this = _this_endpoint(organisation, endpoint)

        def work(connection: Connection) -> Endpoint:
            row = connection.execute(select(webhook_endpoints).where(this).with_for_update()).one_or_none()
            if row is None:
                raise NotFound(f"There is no webhook endpoint {endpoint!r}.")
            after = change(self._endpoint(row))
            connection.execute(update(webhook_endpoints).where(this).values({**self._row(after), "retry_at": None}))
            mark_filled(connection)
            return after

        return await self._database.write(work)

    async def delete_endpoint(self, organisation: str, endpoint: str) -> None:
        query = delete(webhook_endpoints).where(_this_endpoint(organisation, endpoint))
        if await self._database.write(lambda c: c.execute(query).rowcount) == 0:
            raise NotFound(f"There is no webhook endpoint {endpoint!r}.")

    def on_filled(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever there may be something new to deliver."""
        self._database.on_filled(listener)

    # --- the outbox ------------------------------------------------------------------------------------------------

    async def due(self, now: datetime) -> tuple[Work, ...]:
        at = micros(now)
        something = (
            select(deliveries.c.sequence)
            .where(deliveries.c.endpoint == webhook_endpoints.c.id, _claimable(at))
            .correlate(webhook_endpoints)
            .exists()
        )
        query = select(webhook_endpoints.c.id, webhook_endpoints.c.failures).where(_ready(at), something)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return tuple(Work(endpoint, failures >= PROBE_FROM) for endpoint, failures in rows)

    async def claim(self, endpoint: str, limit: int, now: datetime, lease_until: datetime) -> tuple[Task, ...]:
        def work(connection: Connection) -> tuple[Task, ...]:
            chosen = (
                select(deliveries.c.sequence)
                .where(deliveries.c.endpoint == endpoint, _claimable(micros(now)))
                .order_by(deliveries.c.due, deliveries.c.sequence)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            sequences = connection.execute(chosen).scalars().all()
            if not sequences:
                return ()
            these = deliveries.c.sequence.in_(sequences)
            connection.execute(update(deliveries).where(these).values(lease_until=micros(lease_until)))
            return self._tasks(connection, these)

        return await self._database.write(work)

    def _tasks(self, connection: Connection, these: ColumnElement[bool]) -> tuple[Task, ...]:
        claimed = connection.execute(select(deliveries).where(these).order_by(deliveries.c.sequence)).all()
        about = select(events).where(events.c.id.in_([row.event for row in claimed]))
        happened = {row.id: _event(row) for row in connection.execute(about)}
        to = select(webhook_endpoints).where(webhook_endpoints.c.id == claimed[0].endpoint)
        endpoint = self._endpoint(connection.execute(to).one())
        return tuple(Task(_delivery(row), endpoint, happened[row.event]) for row in claimed)

    async def next_due(self, after: datetime) -> datetime | None:
        at = micros(after)
        due, lease, retry = deliveries.c.due, deliveries.c.lease_until, webhook_endpoints.c.retry_at
        waiting = deliveries.c.state == "pending"
        mine = select(deliveries.c.sequence).where(deliveries.c.endpoint == webhook_endpoints.c.id, waiting)
        # Each is answered by an index at once, however much waits. They may wake for something that turns out not to
        # be the first of its subject, or for a disabled endpoint: once, since then it is due.
        moments = (
            select(func.min(due)).where(waiting, due > at),
            select(func.min(lease)).where(lease > at),
            select(func.min(retry)).where(webhook_endpoints.c.enabled, retry > at, mine.exists()),
        )

        def work(connection: Connection) -> datetime | None:
            found = [connection.execute(query).scalar() for query in moments]
            return min((moment(each) for each in found if each is not None), default=None)

        return await self._database.read(work)

    async def finish(self, task: Task, attempt: Attempt, outcome: Outcome) -> None:
        known = select(deliveries.c.id).where(deliveries.c.id == task.delivery.id).with_for_update()

        def work(connection: Connection) -> None:
            if connection.execute(known).one_or_none() is None:
                return  # its endpoint was deleted, or the event is too old, while it was being sent
            connection.execute(
                insert(delivery_attempts),
                {
                    "delivery": task.delivery.id,
                    "at": micros(attempt.at),
                    "status": attempt.status,
                    "error": attempt.error,
                    "duration_ms": attempt.duration_ms,
                },
            )
            done = outcome.state != "pending"
            connection.execute(
                update(deliveries)
                .where(deliveries.c.id == task.delivery.id, deliveries.c.state == "pending")
                .values(
                    state=outcome.state,
                    attempts=deliveries.c.attempts + 1,
                    due=micros(outcome.retry_at) if outcome.retry_at else deliveries.c.due,
                    lease_until=None,
                    finished_at=micros(attempt.at) if done else None,
                )
            )
            _update_endpoint(connection, task, attempt, outcome)

        await self._database.write(work)

    async def release(self, tasks: tuple[Task, ...]) -> None:
        these = deliveries.c.id.in_([task.delivery.id for task in tasks])
        await self._database.write(lambda c: c.execute(update(deliveries).where(these).values(lease_until=None)))

    # --- the log ---------------------------------------------------------------------------------------------------

    async def page_deliveries(
        self,
        organisation: str,
        *,
        endpoint: str | None = None,
        event: str | None = None,
        state: DeliveryState | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Delivery]:
        query = select(deliveries).where(deliveries.c.organisation == organisation)
        for column, wanted in (
            (deliveries.c.endpoint, endpoint),
            (deliveries.c.event, event),
            (deliveries.c.state, state),
        ):
            query = query if wanted is None else query.where(column == wanted)
        return await self._database.read(
            lambda c: read_page(c, query, deliveries.c.created_at, deliveries.c.id, cursor, limit, _delivery)
        )

    async def page_attempts(
        self, organisation: str, delivery: str, cursor: str | None, limit: int | None
    ) -> Page[Attempt]:
        known = select(deliveries.c.id).where(deliveries.c.organisation == organisation, deliveries.c.id == delivery)
        query = select(delivery_attempts).where(delivery_attempts.c.delivery == delivery)

        def work(connection: Connection) -> Page[Attempt]:
            if connection.execute(known).one_or_none() is None:
                raise NotFound(f"There is no delivery {delivery!r}.")
            at, sequence = delivery_attempts.c.at, delivery_attempts.c.sequence
            return read_page(connection, query, at, sequence, cursor, limit, _attempt)

        return await self._database.read(work)

    async def find_event(self, organisation: str, event: str) -> Event | None:
        query = select(events).where(events.c.organisation == organisation, events.c.id == event)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return _event(row) if row else None

    async def page_events(
        self, organisation: str, type_: str | None, cursor: str | None, limit: int | None
    ) -> Page[Event]:
        query = select(events).where(events.c.organisation == organisation)
        if type_ is not None:
            query = query.where(events.c.type == type_)
        return await self._database.read(
            lambda c: read_page(c, query, events.c.occurred_at, events.c.id, cursor, limit, _event)
        )

    async def replay(self, organisation: str, event: str, endpoint: str | None, now: datetime) -> int:
        def work(connection: Connection) -> int:
            found = connection.execute(
                select(events).where(events.c.organisation == organisation, events.c.id == event)
            ).one_or_none()
            if found is None:
                raise NotFound(f"There is no event {event!r}.")
            wanted = select(webhook_endpoints.c.id, webhook_endpoints.c.filters).where(
                webhook_endpoints.c.organisation == organisation, webhook_endpoints.c.enabled
            )
            if endpoint is not None:
                wanted = wanted.where(webhook_endpoints.c.id == endpoint)
            receivers = [
                id_
                for id_, filters in connection.execute(wanted)
                if endpoint is not None or wants(msgspec.json.decode(filters, type=list[str]), found.type)
            ]
            if endpoint is not None and not receivers:
                raise NotFound(f"There is no enabled webhook endpoint {endpoint!r}.")
            for receiver in receivers:
                _deliver_again(connection, found, receiver, now)
            mark_filled(connection)
            return len(receivers)

        return await self._database.write(work)

    async def replay_dead(self, organisation: str, endpoint: str, now: datetime) -> int:
        query = (
            update(deliveries)
            .where(
                deliveries.c.organisation == organisation,
                deliveries.c.endpoint == endpoint,
                deliveries.c.state == "dead",
            )
            .values(state="pending", attempts=0, due=micros(now), created_at=micros(now), finished_at=None)
        )

        def work(connection: Connection) -> int:
            mark_filled(connection)
            return int(connection.execute(query).rowcount)

        return await self._database.write(work)

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget events from before this time, and their deliveries, unless one still waits for an enabled endpoint.

        At most so many; returns how many.
        """
        waits = (
            select(deliveries.c.sequence)
            .join(webhook_endpoints, webhook_endpoints.c.id == deliveries.c.endpoint)
            .where(deliveries.c.event == events.c.id, deliveries.c.state == "pending", webhook_endpoints.c.enabled)
            .correlate(events)
            .exists()
        )
        return await self._database.write(lambda c: delete_oldest(c, events.c.occurred_at, before, limit, not_(waits)))

    async def give_up(self, before: datetime, now: datetime, limit: int) -> int:
        """Give up what has waited since before this time for a receiver that fails: behind one that never comes back
        only the first is ever tried. At most so many; returns how many."""
        failing = select(webhook_endpoints.c.id).where(webhook_endpoints.c.failures >= PROBE_FROM)
        old = (
            select(deliveries.c.sequence)
            .where(
                deliveries.c.endpoint.in_(failing),
                deliveries.c.state == "pending",
                deliveries.c.created_at < micros(before),
                deliveries.c.lease_until.is_(None),
            )
            .limit(limit)
        )
        query = update(deliveries).where(deliveries.c.sequence.in_(old)).values(state="dead", finished_at=micros(now))
        return await self._database.write(lambda c: int(c.execute(query).rowcount))

    # --- rows ------------------------------------------------------------------------------------------------------

    def _row(self, endpoint: Endpoint) -> dict[str, Any]:
        previous = endpoint.previous_secret
        return {
            "url": endpoint.url,
            "description": endpoint.description,
            "filters": msgspec.json.encode(list(endpoint.filters)).decode(),
            "enabled": endpoint.enabled,
            "disabled_reason": endpoint.disabled_reason,
            "secret": self._vault.seal(endpoint.secret, _place("secret", endpoint.id)),
            "previous_secret": previous and self._vault.seal(previous, _place("previous_secret", endpoint.id)),
            "previous_until": micros_or_none(endpoint.previous_until),
        }

    def _endpoint(self, row: Row[Any]) -> Endpoint:
        previous = row.previous_secret
        return Endpoint(
            id=row.id,
            organisation=row.organisation,
            url=row.url,
            description=row.description,
            filters=tuple(msgspec.json.decode(row.filters, type=list[str])),
            enabled=row.enabled,
            disabled_reason=row.disabled_reason,
            secret=self._vault.open(row.secret, _place("secret", row.id)),
            previous_secret=previous and self._vault.open(previous, _place("previous_secret", row.id)),
            previous_until=moment_or_none(row.previous_until),
            failures=row.failures,
            retry_at=moment_or_none(row.retry_at),
            created_at=moment(row.created_at),
        )


def _place(column: str, endpoint: str) -> str:
    return f"webhook_endpoints.{column}:{endpoint}"


def _this_endpoint(organisation: str, endpoint: str) -> ColumnElement[bool]:
    return and_(webhook_endpoints.c.organisation == organisation, webhook_endpoints.c.id == endpoint)


def _claimable(now: int) -> ColumnElement[bool]:
    return and_(
        deliveries.c.state == "pending",
        deliveries.c.due <= now,
        or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= now),
        _FIRST_OF_ITS_SUBJECT,
    )


def _ready(now: int) -> ColumnElement[bool]:
    return and_(
        webhook_endpoints.c.enabled,
        or_(webhook_endpoints.c.retry_at.is_(None), webhook_endpoints.c.retry_at <= now),
    )


def _update_endpoint(connection: Connection, task: Task, attempt: Attempt, outcome: Outcome) -> None:
    this = update(webhook_endpoints).where(webhook_endpoints.c.id == task.endpoint.id)
    if outcome.disable is not None:
        connection.execute(this.values(enabled=False, disabled_reason=outcome.disable))
    elif outcome.state == "delivered":
        connection.execute(this.where(webhook_endpoints.c.failures > 0).values(failures=0, retry_at=None))
    elif outcome.endpoint_failures > task.endpoint.failures:
        # Added here rather than set: other requests to the same endpoint fail at the same time.
        values: dict[str, Any] = {"failures": webhook_endpoints.c.failures + 1}
        if outcome.endpoint_retry_at is not None:
            values["retry_at"] = micros(outcome.endpoint_retry_at)
        connection.execute(this.values(values))
    if outcome.recovered:
        connection.execute(
            update(deliveries)
            .where(
                deliveries.c.endpoint == task.endpoint.id,
                deliveries.c.state == "pending",
                deliveries.c.due > micros(attempt.at),
            )
            .values(due=micros(attempt.at))
        )


def _deliver_again(connection: Connection, event: Row[Any], endpoint: str, now: datetime) -> None:
    again = {"state": "pending", "attempts": 0, "due": micros(now), "created_at": micros(now), "finished_at": None}
    row = {
        **again,
        "id": new_id("dlv"),
        "organisation": event.organisation,
        "endpoint": endpoint,
        "event": event.id,
        "subject": event.subject,
    }
    statement = upserting(connection, deliveries)
    connection.execute(statement.on_conflict_do_update(index_elements=["endpoint", "event"], set_=again), row)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        organisation=row.organisation,
        endpoint=row.endpoint,
        event=row.event,
        subject=row.subject,
        state=row.state,
        attempts=row.attempts,
        due=moment(row.due),
        started_at=moment(row.created_at),
        finished_at=moment_or_none(row.finished_at),
    )


def _event(row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        organisation=row.organisation,
        type=row.type,
        occurred_at=moment(row.occurred_at),
        subject=row.subject,
        data=msgspec.json.decode(row.data),
    )


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(at=moment(row.at), status=row.status, error=row.error, duration_ms=row.duration_ms)
