from __future__ import annotations

import pytest

from dialroom.core.limits import Bucket, Buckets, Places, crowd_name
from tests.support.clock import ManualClock


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    clock = ManualClock()
    bucket = Bucket(clock, rate=2.0, burst=5)
    assert [bucket.allow() for _ in range(6)] == [True] * 5 + [False]
    assert bucket.wait == 0.5
    clock.set(1.0)
    assert bucket.wait == 0
    assert [bucket.allow() for _ in range(3)] == [True, True, False]


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    clock = ManualClock()
    bucket = Bucket(clock, rate=2.0, burst=3)
    clock.set(3600)
    assert [bucket.allow() for _ in range(4)] == [True, True, True, False]


def test_each_name_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(ManualClock(), rate=1.0, burst=1)
    assert buckets.of("a").allow()
    assert not buckets.of("a").allow()
    assert buckets.of("b").allow()


def test_of_many_names_the_one_not_heard_of_for_longest_is_forgotten() -> None:
    buckets = Buckets(ManualClock(), rate=1.0, burst=1, names=2)
    for name in ("a", "b", "a", "c"):
        buckets.of(name).allow()
    assert not buckets.of("a").allow()
    assert buckets.of("b").allow()


def test_places_are_taken_and_given_back_by_name() -> None:
    places = Places(2)
    places.take("a")
    places.take("a")
    assert not places.free("a")
    assert places.free("b")
    places.leave("a")
    assert places.free("a")
    places.leave("a")
    places.leave("a")
    assert places.taken("a") == 0


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("testclient", None),
        ("", None),
    ],
)
def test_a_crowd_goes_by_its_address_or_its_line_and_not_by_loopback(address: str, name: str | None) -> None:
    assert crowd_name(address) == name
