"""Delivers the outbox: at least once, in order per subject and endpoint, a slow receiver delaying only itself.

It sleeps until something is put into the outbox or becomes due. What it sends it has leased before: if the process
dies, the lease runs out and the delivery is made again, under the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from dialroom.core import metrics
from dialroom.core.clock import Clock
from dialroom.core.errors import StoreUnavailable
from dialroom.net.http import GuardedHttp, HttpFailed
from dialroom.webhooks import schedule, signing
from dialroom.webhooks.ports import OutboxStore
from dialroom.webhooks.values import Attempt, Task, Work

LEASE: Final = timedelta(seconds=120)
"""Longer than any request may take."""

PER_ENDPOINT: Final = 8
"""Requests to one receiver at a time, all of different subjects."""

_PAUSE: Final = 5.0
_log = structlog.get_logger("dialroom.webhooks")


class Deliverer:
    """Run it as a task; cancel it to stop. What was being sent then is given back, and sent again later."""

    def __init__(
        self,
        store: OutboxStore,
        http: GuardedHttp,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._http = http
        self._clock = clock
        self._jitter = jitter
        self._wake = asyncio.Event()
        self._sending: dict[asyncio.Task[None], Task] = {}
        self._per_endpoint: Counter[str] = Counter()
        store.on_filled(self._wake.set)

    async def run(self) -> None:
        """Deliver for ever."""
        try:
            while True:
                self._wake.clear()
                try:
                    now = self._clock.now()
                    whole = await self._send_due(now)
                    pause = await self._until_next(now)
                    if not whole:
                        pause = _PAUSE if pause is None else min(pause, _PAUSE)
                except StoreUnavailable:
                    pause = _PAUSE
                except Exception:  # a bug must not stop every webhook
                    _log.exception("webhook.round_failed")
                    pause = _PAUSE
                await self._sleep(pause)
        finally:
            await self._give_back()

    async def _send_due(self, at: datetime) -> bool:
        """Whether that worked for every endpoint: one whose rows cannot be read does not hold up the others."""
        whole = True
        for work in await self._store.due(at):
            try:
                await self._send_to(work)
            except StoreUnavailable:
                raise
            except Exception:
                _log.exception("webhook.not_claimed", endpoint=work.endpoint)
                whole = False
        return whole

    async def _send_to(self, work: Work) -> None:
        room = (1 if work.probe else PER_ENDPOINT) - self._per_endpoint[work.endpoint]
        if room <= 0:
            return  # its next request to finish wakes us
        now = self._clock.now()
        for task in await self._store.claim(work.endpoint, room, now, now + LEASE):
            self._per_endpoint[work.endpoint] += 1
            sending = asyncio.create_task(self._deliver(task))
            self._sending[sending] = task
            sending.add_done_callback(self._sent)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        task = self._sending.pop(sending)
        self._per_endpoint[task.endpoint.id] -= 1
        if not self._per_endpoint[task.endpoint.id]:
            del self._per_endpoint[task.endpoint.id]
        if not sending.cancelled() and (error := sending.exception()) is not None:
            _log.error("webhook.failed", delivery=task.delivery.id, exc_info=error)
        self._wake.set()

    async def _deliver(self, task: Task) -> None:
        body = signing.render(task.event)
        at = self._clock.now()
        status, problem = await self._post(task, body, at)
        took = self._clock.now() - at
        attempt = Attempt(at=at, status=status, error=problem, duration_ms=round(took.total_seconds() * 1000))
        outcome = schedule.judge(task.delivery, task.endpoint, status, self._clock.now(), self._jitter())
        try:
            await self._store.finish(task, attempt, outcome)
        except StoreUnavailable:
            _log.warning("webhook.outcome_not_stored", delivery=task.delivery.id)
            return  # the lease runs out and it is sent again
        metrics.WEBHOOK_ATTEMPTS.labels("delivered" if outcome.state == "delivered" else "failed").inc()
        metrics.WEBHOOK_SECONDS.observe(took.total_seconds())
        if outcome.state != "delivered":
            _log.info(
                "webhook.given_up" if outcome.state == "dead" else "webhook.postponed",
                delivery=task.delivery.id,
                endpoint=task.endpoint.id,
                event_type=task.event.type,
                status=status,
                problem=problem,
                attempts=task.delivery.attempts + 1,
            )
        if outcome.disable is not None:
            _log.warning("webhook.endpoint_disabled", endpoint=task.endpoint.id, reason=outcome.disable)

    async def _post(self, task: Task, body: bytes, at: datetime) -> tuple[int | None, str | None]:
        headers = signing.headers(task.event, task.endpoint, body, at)
        try:
            answer = await self._http.post(task.endpoint.url, headers, body)
        except HttpFailed as failed:
            return None, str(failed)[:500]
        return answer.status, None

    async def _until_next(self, after: datetime) -> float | None:
        """Seconds until more becomes due than was at that time; None if only a wake-up can bring something. What was
        due then and is not being sent is held back by a receiver at its limit, whose next answer wakes us."""
        due = await self._store.next_due(after)
        return None if due is None else (due - self._clock.now()).total_seconds()

    async def _sleep(self, seconds: float | None) -> None:
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _give_back(self) -> None:
        sending = dict(self._sending)
        for task in sending:
            task.cancel()
        if not sending:
            return
        await asyncio.gather(*sending, return_exceptions=True)
        try:
            await self._store.release(tuple(sending.values()))
        except StoreUnavailable:
            _log.warning("webhook.leases_left_to_run_out", deliveries=len(sending))
