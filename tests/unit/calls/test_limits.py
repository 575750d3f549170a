from datetime import UTC, datetime

import pytest

from dialroom.calls.limits import _MANY_BRIDGES, TONE_PAUSE, Arrival, EntryTones, Lobby, LobbyLimits


class HandClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_a_crowd_coming_in_is_one_tone_per_room_and_moment() -> None:
    clock = HandClock()
    tones = EntryTones(clock)
    assert tones.allow("sess_a")
    assert not tones.allow("sess_a")
    assert tones.allow("sess_b")
    clock.at += TONE_PAUSE
    assert tones.allow("sess_a")


def test_tones_of_the_past_are_forgotten_and_those_of_the_moment_are_not() -> None:
    clock = HandClock()
    tones = EntryTones(clock)
    for number in range(_MANY_BRIDGES):
        assert tones.allow(f"sess_{number}")
    clock.at += TONE_PAUSE
    assert tones.allow("sess_a")
    assert len(tones._last) == 1
    for number in range(_MANY_BRIDGES):
        assert tones.allow(f"sess_{number}")
    assert not tones.allow("sess_a")


def arrival(**fields: str | None) -> Arrival:
    values = {"organisation": "org_a", "gateway": None, "source": "192.0.2.1", "caller": "+12025550100"}
    return Arrival(**{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "crowd", "reason"),
    [
        (LobbyLimits(organisation=2), arrival(source="192.0.2.9", caller="+1"), "too_many_calls_of_organisation"),
        (LobbyLimits(address=2), arrival(organisation="org_b", caller="+1"), "too_many_calls_of_address"),
        (LobbyLimits(caller=2), arrival(source="192.0.2.9"), "too_many_calls_of_caller"),
    ],
)
def test_a_full_lobby_refuses_who_is_counted_with_the_crowd_until_one_of_it_leaves(
    limits: LobbyLimits, crowd: Arrival, reason: str
) -> None:
    lobby = Lobby(limits)
    stranger = arrival(organisation="org_c", source="198.51.100.1", caller="+2")
    with lobby.holding(arrival()):
        assert lobby.refusal(crowd) is None
        with lobby.holding(arrival()) as joined:
            full = lobby.refusal(crowd)
            assert full is not None
            assert (full.status, full.reason) == (486, reason)
            assert lobby.refusal(stranger) is None
            joined()
            assert lobby.refusal(crowd) is None
        assert lobby.refusal(crowd) is None


def test_a_gateways_address_and_this_machine_bring_any_crowd_and_withheld_callers_are_many() -> None:
    lobby = Lobby(LobbyLimits(organisation=10, address=1, caller=1))
    for each in (arrival(gateway="gw_a", caller=""), arrival(source="127.0.0.1", caller="")):
        with lobby.holding(each), lobby.holding(each):
            assert lobby.refusal(each) is None
