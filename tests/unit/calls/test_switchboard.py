"""Calls over real SIP sockets on loopback, with the fake media plane."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dialroom.calls.sip_leg import SipLeg
from dialroom.core.ending import Ending
from dialroom.media.protocol import (
    Answer,
    CloseLeg,
    Command,
    ConfigureLeg,
    JoinLeg,
    LegSilent,
    OpenLeg,
    SourceRejected,
)
from dialroom.sip.session.events import Ended, Failed, ProbeAnswered, RemoteAnswer, SessionEvent
from tests.unit.routing.values import gateway, number

from .switchboard_room import CODE, OFFER, OUR_NUMBER, House, SipCaller, until


async def test_a_call_goes_from_invite_to_the_room_and_its_record_says_so(house: House, caller: SipCaller) -> None:
    room = await house.room()
    caller.dial(house.port)
    answer = await caller.answered()
    assert b"PCMU/8000" in answer
    caller.press(CODE)
    record = await house.recorded(lambda each: each.state == "in_room")
    assert house.people(room) == ["phone"]
    assert record.codec == "PCMU"
    assert record.from_number == "+12025550100"
    assert record.to_number == OUR_NUMBER
    assert record.room == room.id
    assert record.leg in house.media.legs
    caller.invite.bye()
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("completed", "caller_hung_up", 200, "caller")
    assert record.statistics is not None
    steps = [step.what for step in record.steps]
    assert steps == ["received", "answered", "code_asked", "code_accepted", "joined", "ended"]
    assert [step.verdict for step in record.trace][-1] == "decided"
    assert house.calls.told == ["call.received", "call.answered", "call.joined", "call.ended"]
    assert house.people(room) == []
    assert house.media.legs == {}
    assert house.calls.resumes == {}
    await until(lambda: not house.switchboard._tasks)


async def test_digits_come_by_rtp_too_and_are_not_doubled(house: House, caller: SipCaller) -> None:
    room = await house.room()
    caller.dial(house.port)
    await caller.answered()
    (leg,) = house.media.legs
    for digit in CODE:
        house.media.press(leg, digit)
        caller.press(digit)
    await house.recorded(lambda each: each.state == "in_room")
    assert house.people(room) == ["phone"]
    assert house.guesses.wrong == 0


async def test_an_invite_without_offer_gets_ours_and_its_answer_counts(house: House, caller: SipCaller) -> None:
    caller.dial(house.port, sdp=None)
    offer = await caller.answered()
    assert b"opus/48000/2" in offer
    assert house.media.sent(ConfigureLeg) == []
    caller.invite.answer_offer(OFFER.replace(b"RTP/AVP 0 8 101", b"RTP/AVP 8 101"))
    configured = await house.media.wait_for(ConfigureLeg)
    assert configured.media.codec.name == "PCMA"
    record = await house.recorded(lambda each: each.codec == "PCMA")
    assert record.state == "answered"


async def test_hold_port_change_and_codec_change_by_reinvite(house: House, caller: SipCaller) -> None:
    caller.dial(house.port)
    await caller.answered()
    caller.invite.reinvite(OFFER.replace(b"1 1 IN", b"1 2 IN") + b"a=sendonly\r\n")
    answer = await caller.hears(RemoteAnswer)
    assert b"a=recvonly" in answer.sdp
    changed = OFFER.replace(b"1 1 IN", b"1 3 IN").replace(b"audio 40000 RTP/AVP 0 8", b"audio 41000 RTP/AVP 8")
    caller.invite.reinvite(changed)
    await caller.hears(RemoteAnswer)
    last = house.media.sent(ConfigureLeg)[-1].media
    assert (last.remote_rtp_port, last.codec.name, last.direction) == (41000, "PCMA", "sendrecv")
    record = await house.recorded(lambda each: each.codec == "PCMA")
    details = [step.detail for step in record.steps if step.what == "media_changed"]
    assert details == ["put on hold", "taken off hold, media to 127.0.0.1:41000, codec PCMA, 20 ms"]


async def test_an_impossible_reinvite_is_refused_and_the_call_goes_on(house: House, caller: SipCaller) -> None:
    caller.dial(house.port)
    await caller.answered()
    before = len(house.media.sent(ConfigureLeg))
    caller.invite.reinvite(OFFER.replace(b"1 1 IN", b"1 2 IN").replace(b"RTP/AVP 0 8 101", b"RTP/AVP 18"))
    record = await house.recorded(lambda each: any(step.what == "media_change_refused" for step in each.steps))
    assert record.state == "answered"
    assert len(house.media.sent(ConfigureLeg)) == before


async def test_the_caller_a_gateway_asserts_is_believed_and_nobody_elses(house: House, caller: SipCaller) -> None:
    asserted = [("P-Asserted-Identity", "<tel:+12025550199>")]
    caller.dial(house.port, headers=asserted)
    await caller.answered()
    record = await house.recorded(lambda each: each.state == "answered")
    assert record.from_number == "+12025550100"
    await house.stop()
    house.calls.records.clear()
    house.gateways.gateways = (gateway("carrier", "127.0.0.1/32"),)
    await house.start()
    caller.dial(house.port, headers=asserted)
    await caller.answered()
    record = await house.recorded(lambda each: each.state == "answered")
    assert record.from_number == "+12025550199"


async def test_silence_is_asked_about_and_a_phone_that_answers_keeps_its_call(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[object] = []
    signalled = SipLeg._signalled

    async def noted(leg: SipLeg, event: SessionEvent) -> None:
        await signalled(leg, event)
        if isinstance(event, ProbeAnswered):
            probes.append(event)

    monkeypatch.setattr(SipLeg, "_signalled", noted)
    caller.dial(house.port)
    await caller.answered()
    (leg,) = house.media.legs
    house.media.raise_event(LegSilent(leg=leg, silence=20_000))
    await until(lambda: probes)
    assert house.switchboard.running == 1
    assert house.record.state == "answered"


async def test_a_phone_that_is_gone_without_a_word_is_ended_and_its_participant_lost(
    house: House, caller: SipCaller
) -> None:
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    record = await house.recorded(lambda each: each.state == "in_room")
    assert record.language == "en"
    (leg,) = house.media.legs
    port = caller.sip.port
    await caller.close()
    await asyncio.sleep(0)
    # Another program listens at the phone's address now. It knows nothing of the call and answers 481.
    successor = SipCaller(port)
    await successor.start()
    house.media.raise_event(LegSilent(leg=leg, silence=20_000))
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("failed", "connection_lost", 200, "network")
    (participant,) = house.meeting_store.participants.values()
    assert participant.left_reason == "lost"
    assert house.media.sent(CloseLeg)
    await successor.close()


async def test_a_leg_the_media_plane_gave_up_ends_its_call_only(house: House, caller: SipCaller) -> None:
    caller.dial(house.port)
    await caller.answered()
    await house.recorded(lambda each: each.state == "answered")
    (leg,) = house.media.legs
    house.media.end_leg(leg, "internal")
    await caller.hears(Ended)
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("failed", "media_lost", 200, "server")
    assert [step.detail for step in record.steps if step.what == "media_ended"] == ["internal"]


async def test_media_from_a_stranger_is_noted(house: House, caller: SipCaller) -> None:
    caller.dial(house.port)
    await caller.answered()
    (leg,) = house.media.legs
    house.media.raise_event(SourceRejected(leg=leg, address="192.0.2.66:4000"))
    record = await house.recorded(lambda each: any(step.what == "media_source_rejected" for step in each.steps))
    assert record.steps[-1].detail == "192.0.2.66:4000"


async def test_stopping_hangs_up_politely_and_leaves_nobody_in_rooms(house: House, caller: SipCaller) -> None:
    room = await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    await house.recorded(lambda each: each.state == "in_room")
    await house.switchboard.stop(keep_calls=False)
    await caller.hears(Ended)
    assert house.record.ending == Ending("failed", "server_stopped", 200, "server")
    assert house.people(room) == []
    again = SipCaller()
    await again.start()
    again.dial(house.port)
    assert (await again.hears(Failed)).status == 503
    await again.close()


async def test_a_caller_who_gives_up_while_the_call_is_put_on_record_is_cancelled(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saving, go_on = house.calls.save, asyncio.Event(), asyncio.Event()

    async def slow(*values: Any, **more: Any) -> None:
        saving.set()
        await go_on.wait()
        await save(*values, **more)

    monkeypatch.setattr(house.calls, "save", slow)
    caller.dial(house.port)
    await saving.wait()
    caller.invite.cancel()
    await until(lambda: house.sip.counts["sessions"] == 0)
    go_on.set()
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("cancelled", "caller_cancelled", 487, "caller")
    assert house.calls.told == ["call.received", "call.ended"]
    assert house.media.legs == {}


async def test_a_caller_who_gives_up_while_the_leg_is_opened_leaves_no_leg(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, opening = house.media.request, asyncio.Event()

    async def slow(command: Command) -> Answer:
        answer = await request(command)
        if isinstance(command, OpenLeg):
            opening.set()
            await asyncio.Event().wait()
        return answer

    monkeypatch.setattr(house.media, "request", slow)
    caller.dial(house.port)
    await opening.wait()
    caller.invite.cancel()
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("cancelled", "caller_cancelled", 487, "caller")
    assert house.media.legs == {}


async def test_a_bug_before_the_answer_is_500(house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(house.media, "open_leg", broken)
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 500
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "internal_error", 500, "server")


async def test_a_bug_in_a_flow_ends_that_call_with_an_apology(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(house.rooms, "match_code", broken)
    caller.dial(house.port)
    await caller.answered()
    caller.press("1")
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("failed", "internal_error", 200, "server")
    assert "en/error_hang_up@0" in [clip for leg in [record.leg or ""] for clip in house.media.clips_played(leg)]


async def test_everybody_else_hears_a_tone_when_a_phone_comes_in(house: House, caller: SipCaller) -> None:
    from dialroom.media.protocol import PlayToBridge

    await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    tone = await house.media.wait_for(PlayToBridge)
    joined = await house.media.wait_for(JoinLeg)
    assert (tone.bridge, tone.except_participant) == (joined.bridge, joined.participant)


async def test_a_caller_with_a_name_instead_of_a_number_is_a_sip_device(house: House, caller: SipCaller) -> None:
    room = await house.room()
    caller.dial(house.port, from_='"Anna" <sip:anna@pbx.example>')
    await caller.answered()
    caller.press(CODE)
    record = await house.recorded(lambda each: each.state == "in_room")
    assert house.people(room) == ["sip"]
    (joined,) = (each for each in house.meeting_store.events if each.type == "participant.joined")
    seen = joined.data["participant"]
    assert (seen["kind"], seen["name"], seen["phone_number"]) == ("sip", "Anna", None)
    assert record.from_number == "anna"


async def test_room_numbers_lead_straight_in(house: House, caller: SipCaller) -> None:
    room = await house.room()
    house.numbers.numbers = (number(OUR_NUMBER, room=room.id),)
    caller.dial(house.port)
    await caller.answered()
    record = await house.recorded(lambda each: each.state == "in_room")
    assert "code_asked" not in [step.what for step in record.steps]
