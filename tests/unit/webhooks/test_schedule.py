from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dialroom.webhooks.schedule import PROBE_FROM, REFUSED_TRIES, RETRY_FOR, delay, judge
from dialroom.webhooks.values import Delivery, Endpoint
from tests.support.clock import NOON

ENDPOINT = Endpoint(
    id="whk_1",
    organisation="org_a",
    url="https://example.com",
    description="",
    filters=("*",),
    enabled=True,
    secret="whsec_AAAA",
    created_at=NOON,
)
DELIVERY = Delivery(
    id="dlv_1",
    organisation="org_a",
    endpoint="whk_1",
    event="evt_1",
    subject="call_1",
    state="pending",
    attempts=0,
    due=NOON,
    started_at=NOON,
)


def test_waits_grow_from_five_seconds_to_five_minutes() -> None:
    assert [delay(attempts, 0.5) for attempts in range(1, 9)] == [5, 15, 30, 60, 120, 300, 300, 300]


def test_waits_are_spread_so_that_not_all_come_at_once() -> None:
    assert delay(1, 0.0) == pytest.approx(4.0)
    assert delay(1, 1.0) == pytest.approx(6.0)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    outcome = judge(DELIVERY, ENDPOINT, status, NOON, 0.5)
    assert (outcome.state, outcome.retry_at, outcome.recovered) == ("delivered", None, False)


@pytest.mark.parametrize("status", [None, 100, 301, 302, 408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_for_three_days(status: int | None) -> None:
    now, delivery, endpoint = NOON, DELIVERY, ENDPOINT
    while True:
        outcome = judge(delivery, endpoint, status, now, 0.5)
        if outcome.state != "pending":
            break
        assert outcome.retry_at is not None
        assert now < outcome.retry_at <= now + timedelta(minutes=6)
        now = outcome.retry_at
        delivery = replace(delivery, attempts=delivery.attempts + 1)
        endpoint = replace(endpoint, failures=outcome.endpoint_failures)
    assert outcome.state == "dead"
    assert RETRY_FOR - timedelta(minutes=6) < now - NOON <= RETRY_FOR


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_the_receiver_refuses_is_parked_after_a_few_tries(status: int) -> None:
    states = [judge(replace(DELIVERY, attempts=n), ENDPOINT, status, NOON, 0.5).state for n in range(REFUSED_TRIES)]
    assert states == ["pending"] * (REFUSED_TRIES - 1) + ["dead"]
    assert judge(DELIVERY, ENDPOINT, status, NOON, 0.5).endpoint_failures == 0


def test_gone_disables_the_endpoint() -> None:
    outcome = judge(DELIVERY, ENDPOINT, 410, NOON, 0.5)
    assert outcome.state == "dead"
    assert outcome.disable is not None
    assert "410" in outcome.disable


def test_an_endpoint_that_keeps_failing_gets_one_request_at_a_time_at_most_every_six_minutes() -> None:
    early = judge(DELIVERY, replace(ENDPOINT, failures=PROBE_FROM - 2), None, NOON, 0.5)
    assert early.endpoint_retry_at is None
    for failures in (PROBE_FROM - 1, PROBE_FROM, 1000):
        outcome = judge(DELIVERY, replace(ENDPOINT, failures=failures), None, NOON, 1.0)
        assert outcome.endpoint_retry_at is not None
        assert outcome.endpoint_retry_at <= NOON + timedelta(minutes=6)


def test_a_success_after_failures_makes_the_rest_due() -> None:
    assert judge(DELIVERY, replace(ENDPOINT, failures=1), 200, NOON, 0.5).recovered
