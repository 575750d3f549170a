from __future__ import annotations

import pytest

from dialroom.core.bus import EventBus
from dialroom.core.events import EVENT_TYPES, Event, new_event
from tests.support.clock import NOON


def _event(organisation: str = "org_a") -> Event:
    return new_event(organisation, "call.received", NOON, "call_1", {"n": 1})


def test_every_listener_hears_events_in_order() -> None:
    bus = EventBus()
    heard: list[Event] = []
    bus.subscribe(heard.append)
    events = [_event(), _event()]
    bus.publish(events)
    assert heard == events


def test_a_listener_of_one_organisation_hears_no_other() -> None:
    bus = EventBus()
    heard: list[Event] = []
    bus.subscribe(heard.append, "org_a")
    bus.publish([_event("org_a"), _event("org_b")])
    assert [event.organisation for event in heard] == ["org_a"]


def test_a_listener_that_raises_does_not_disturb_the_others() -> None:
    bus = EventBus()
    heard: list[Event] = []

    def broken(_event: Event) -> None:
        raise RuntimeError("broken")

    bus.subscribe(broken)
    bus.subscribe(heard.append)
    bus.publish([_event()])
    assert len(heard) == 1


def test_a_stopped_listener_hears_nothing_more() -> None:
    bus = EventBus()
    heard: list[Event] = []
    stop = bus.subscribe(heard.append)
    stop()
    stop()
    bus.publish([_event()])
    assert heard == []


def test_an_event_says_type_time_and_data() -> None:
    assert _event().body() == {"type": "call.received", "timestamp": "2026-11-21T12:00:00.000Z", "data": {"n": 1}}


def test_only_documented_events_can_be_made() -> None:
    assert all(text.endswith(".") for text in EVENT_TYPES.values())
    with pytest.raises(ValueError, match=r"made\.up"):
        new_event("org_a", "made.up", NOON, "x", {})
