from __future__ import annotations

import pytest

from dialroom.core.errors import Invalid
from dialroom.core.events import EVENT_TYPES
from dialroom.webhooks.filters import check_filters, wants


def test_an_endpoint_gets_what_it_asked_for() -> None:
    assert wants(["*"], "call.ended")
    assert wants(["call.*"], "call.ended")
    assert wants(["call.ended"], "call.ended")
    assert not wants(["call.ended"], "call.answered")
    assert not wants(["call.*"], "session.ended")
    assert not wants([], "call.ended")


def test_every_documented_event_can_be_asked_for() -> None:
    assert check_filters([*EVENT_TYPES, "*", "call.*", "*"]) == (*EVENT_TYPES, "*", "call.*")


@pytest.mark.parametrize("filters", [[], ["calls"], ["call.nothing"], ["**"], ["call"], ["CALL.*"]])
def test_a_filter_that_never_matches_is_refused_with_the_list_of_events(filters: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        check_filters(filters)
    assert "*" in refused.value.fix
