"""What becomes of calls while the media process or the database is out of reach, on real SIP sockets on loopback."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from dialroom.calls import phone_call
from dialroom.core.ending import Ending
from dialroom.core.metrics import REGISTRY
from dialroom.media.protocol import Command, JoinLeg, LeaveLeg, OpenBridge
from dialroom.sip.session.events import Ended, Failed

from .switchboard_room import CODE, OUR_NUMBER, House, SipCaller, until


async def in_the_room(house: House, caller: SipCaller) -> tuple[str, str]:
    """The caller dials, types the code and is in the bridge; their leg and participant."""
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    record = await house.recorded(lambda each: each.participant)
    (leg,) = house.media.legs
    await until(lambda: house.media.legs[leg].bridge)
    assert record.participant
    return leg, record.participant


async def test_no_call_is_taken_without_a_database(house: House, caller: SipCaller) -> None:
    house.calls.away = True
    structlog.reset_defaults()  # a command that another test ran has the level at warning
    counted = {"direction": "inbound", "result": "rejected", "reason": "store_unavailable"}
    before = REGISTRY.get_sample_value("dialroom_calls_total", counted) or 0
    with capture_logs() as logged:
        caller.dial(house.port, user=f"{OUR_NUMBER},,{CODE}")
        assert (await caller.hears(Failed)).status == 503
    assert house.media.legs == {}
    (refused,) = (each for each in logged if each["event"] == "call.refused")
    assert (refused["reason"], refused["source"]) == ("store_unavailable", "127.0.0.1")
    assert refused["to"] == OUR_NUMBER
    assert REGISTRY.get_sample_value("dialroom_calls_total", counted) == before + 1


async def test_a_caller_muted_while_the_media_process_was_out_of_reach_is_silent_when_it_is_back(
    house: House, caller: SipCaller
) -> None:
    leg, participant = await in_the_room(house, caller)
    house.media.lose_link()
    await house.meetings.set_muted(participant, True, by="api")
    await house.meetings.settled()
    assert not house.media.legs[leg].muted
    house.media.regain_link()
    await until(lambda: house.media.legs[leg].muted)
    assert house.switchboard.running == 1


async def test_a_caller_unmuted_while_their_leg_is_put_right_is_heard(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    leg, participant = await in_the_room(house, caller)
    house.media.lose_link()
    await house.meetings.set_muted(participant, True, by="api")
    await house.meetings.settled()
    perform = house.media.perform

    async def unmuted_meanwhile(command: Command) -> None:
        if isinstance(command, OpenBridge):
            monkeypatch.setattr(house.media, "perform", perform)
            await house.meetings.set_muted(participant, False, by="api")
        await perform(command)

    monkeypatch.setattr(house.media, "perform", unmuted_meanwhile)
    house.media.regain_link()
    await until(lambda: any(join.muted for join in house.media.sent(JoinLeg)))
    await until(lambda: not house.media.legs[leg].muted)


async def test_a_caller_removed_while_their_leg_is_put_right_is_not_back_in_the_room(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, participant = await in_the_room(house, caller)
    house.media.lose_link()
    await house.meetings.set_muted(participant, True, by="api")
    await house.meetings.settled()
    perform = house.media.perform

    async def removed_meanwhile(command: Command) -> None:
        if isinstance(command, OpenBridge):
            monkeypatch.setattr(house.media, "perform", perform)
            await house.meetings.remove(participant, by="api")
            for _ in range(20):  # so that whoever need not wait for us comes first
                await asyncio.sleep(0)
        await perform(command)

    monkeypatch.setattr(house.media, "perform", removed_meanwhile)
    house.media.regain_link()
    await house.recorded(lambda each: each.state == "ended")
    await house.meetings.settled()
    assert [type(each) for each in house.media.commands if isinstance(each, JoinLeg | LeaveLeg)][-2:] == [
        JoinLeg,
        LeaveLeg,
    ]


async def test_calls_whose_leg_was_lost_with_the_media_process_are_hung_up(house: House, caller: SipCaller) -> None:
    caller.dial(house.port)
    await caller.answered()
    await house.recorded(lambda each: each.state == "answered")
    house.media.lose_link()
    house.media.legs.clear()
    house.media.regain_link()
    await caller.hears(Ended)
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("failed", "media_lost", 200, "server")


async def test_a_short_break_of_the_media_link_costs_no_call(house: House, caller: SipCaller) -> None:
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    await house.recorded(lambda each: each.state == "answered")
    house.media.lose_link()
    house.media.regain_link()
    caller.press(CODE)
    await house.recorded(lambda each: each.state == "in_room")


async def test_the_leg_of_a_call_that_ended_while_the_media_process_was_out_of_reach_is_closed_when_it_is_back(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_call, "SETTLE_SECONDS", 0.01)
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    await house.recorded(lambda each: each.state == "in_room")
    house.media.lose_link()
    caller.invite.bye()
    await house.recorded(lambda each: each.state == "ended")
    assert house.media.legs
    house.media.regain_link()
    await until(lambda: not house.media.legs)
    await until(lambda: house.switchboard.running == 0)


async def test_a_call_that_ends_while_the_database_is_away_leaves_no_ghost(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_call, "SETTLE_SECONDS", 0.01)
    room = await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    await house.recorded(lambda each: each.state == "in_room")
    house.calls.away = house.meeting_store.away = True
    caller.invite.bye()
    await until(lambda: not house.media.legs)
    assert house.people(room) == ["phone"]
    assert house.record.state == "in_room"
    house.calls.away = house.meeting_store.away = False
    await until(lambda: house.people(room) == [])
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("completed", "caller_hung_up", 200, "caller")
    assert house.calls.told[-1] == "call.ended"
