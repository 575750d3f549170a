"""Calls over real SIP sockets on loopback, with the fake media plane."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from dialroom.calls import phone_call
from dialroom.calls.limits import LobbyLimits
from dialroom.calls.sip_leg import SipLeg
from dialroom.core.ending import Ending
from dialroom.core.limits import Bucket, Buckets
from dialroom.media.protocol import (
    Answer,
    CloseLeg,
    Command,
    ConfigureLeg,
    JoinLeg,
    LegSilent,
    OpenBridge,
    OpenLeg,
    SourceRejected,
)
from dialroom.sip.session.events import Ended, Failed, ProbeAnswered, RemoteAnswer, SessionEvent
from tests.support.clock import ManualClock
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


async def test_an_unknown_number_is_refused_with_its_reason_on_record(house: House, caller: SipCaller) -> None:
    caller.dial(house.port, user="+4930123456")
    failed = await caller.hears(Failed)
    assert failed.status == 404
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "unknown_number", 404, "server")
    assert record.trace
    assert house.calls.told == ["call.refused"]


async def test_a_stranger_gets_403_and_a_record(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.allowed = [ip_network("192.0.2.0/24")]
    await house.start()
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 403
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending is not None
    assert record.ending.reason == "stranger"
    assert "127.0.0.1" in record.trace[-1].why


async def test_a_gateway_proves_itself_by_digest_and_is_on_record(house: House, caller: SipCaller) -> None:
    from dialroom.sip.auth import Credentials

    await house.stop()
    house.allowed = []
    house.gateways.gateways = (gateway("trunk", username="acme"),)
    await house.start()
    await house.room()
    caller.dial(house.port, credentials=Credentials("acme", "secret"))
    await caller.answered()
    record = await house.recorded(lambda each: each.state == "answered")
    assert record.gateway == "gw_trunk"


async def test_a_wrong_password_gets_in_nowhere(house: House, caller: SipCaller) -> None:
    from dialroom.sip.auth import Credentials

    await house.stop()
    house.allowed = []
    house.gateways.gateways = (gateway("trunk", username="acme"),)
    await house.start()
    caller.dial(house.port, credentials=Credentials("acme", "guess"))
    assert (await caller.hears(Failed)).status in (401, 403)
    assert house.media.sent(OpenLeg) == []


async def test_no_codec_in_common_is_488(house: House, caller: SipCaller) -> None:
    caller.dial(house.port, sdp=OFFER.replace(b"RTP/AVP 0 8 101", b"RTP/AVP 18"))
    assert (await caller.hears(Failed)).status == 488
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "no_common_media", 488, "server")
    assert house.media.legs == {}


async def test_no_free_port_is_503(house: House, caller: SipCaller) -> None:
    house.media.refuse_next(OpenLeg, "no_port")
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 503
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "no_capacity", 503, "server")


async def test_a_full_server_says_503(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.max_calls = 0
    await house.start()
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 503
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending is not None
    assert record.ending.reason == "no_capacity"


async def test_a_refused_call_of_a_gateway_is_on_record_with_its_organisation(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.max_calls = 0
    house.gateways.gateways = (gateway("carrier", "127.0.0.1/32", organisation="org_b"),)
    await house.start()
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 503
    record = await house.recorded(lambda each: each.state == "ended")
    assert (record.organisation, record.gateway) == ("org_b", "gw_carrier")


async def test_a_call_that_cannot_be_understood_is_not_called_a_strangers(house: House, caller: SipCaller) -> None:
    caller.dial(house.port, headers=[("Require", "telepathy")])
    assert (await caller.hears(Failed)).status == 420
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "bad_request", 420, "server")


async def test_a_flood_of_refused_calls_is_counted_not_recorded(house: House) -> None:
    await house.stop()
    house.max_calls = 0
    await house.start()
    callers = [SipCaller() for _ in range(3)]
    house.switchboard._refusals = Bucket(house.clock, rate=0.0, burst=1)
    for each in callers:
        await each.start()
        each.dial(house.port)
        assert (await each.hears(Failed)).status == 503
        await each.close()
    await until(lambda: house.calls.records)
    assert len(house.calls.records) == 1


async def test_a_flood_of_one_source_to_numbers_we_do_not_have_is_counted_not_recorded(house: House) -> None:
    house.switchboard._refusals_by_source = Buckets(house.clock, rate=0.0, burst=1)
    callers = [SipCaller() for _ in range(3)]
    for each in callers:
        await each.start()
        each.dial(house.port, user="+4930123456")
        assert (await each.hears(Failed)).status == 404
        await each.close()
    await until(lambda: house.calls.records)
    assert len(house.calls.records) == 1


async def test_one_caller_gets_no_further_line_until_one_of_theirs_is_in_a_room(
    house: House, caller: SipCaller
) -> None:
    await house.stop()
    house.lobby = LobbyLimits(caller=1)
    await house.start()
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    second, third = SipCaller(), SipCaller()
    for each in (second, third):
        await each.start()
    second.dial(house.port)
    assert (await second.hears(Failed)).status == 486
    await until(lambda: [each for each in house.calls.records.values() if each.state == "ended"])
    (refused,) = [each.ending for each in house.calls.records.values() if each.state == "ended"]
    assert refused == Ending("rejected", "too_many_calls_of_caller", 486, "server")
    caller.press(CODE)
    await until(lambda: [each for each in house.calls.records.values() if each.state == "in_room"])
    third.dial(house.port)
    await third.answered()
    await second.close()
    await third.close()


async def test_a_call_that_ended_leaves_room_for_the_next(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.lobby = LobbyLimits(organisation=1)
    await house.start()
    caller.dial(house.port)
    await caller.answered()
    caller.invite.bye()
    await until(lambda: house.switchboard.running == 0)
    caller.dial(house.port)
    await caller.answered()


async def test_calls_that_arrive_at_once_are_no_more_than_there_is_capacity_for(house: House) -> None:
    await house.stop()
    house.max_calls = 2
    await house.start()
    callers = [SipCaller() for _ in range(5)]
    for each in callers:
        await each.start()
    for each in callers:
        each.dial(house.port)
    await until(lambda: len(house.calls.records) == 5)
    await until(lambda: len(house.media.legs) == 2)
    endings = [each.ending.reason for each in house.calls.records.values() if each.ending]
    assert endings == ["no_capacity"] * 3
    for each in callers:
        await each.close()


async def test_a_caller_who_never_gives_credentials_is_on_record(house: House, caller: SipCaller) -> None:
    await house.stop()
    house.allowed = []
    house.gateways.gateways = (gateway("trunk", username="acme"),)
    house.clock = ManualClock()  # type: ignore[assignment]
    await house.start()
    watching = asyncio.create_task(house.switchboard.keep_asking_who_came_back())
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 401
    assert house.calls.records == {}
    await until(lambda: house.clock.sleeping)  # type: ignore[attr-defined]
    await house.clock.advance(40.0)  # type: ignore[attr-defined]
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("rejected", "not_authenticated", 401, "server")
    watching.cancel()


async def test_no_call_is_taken_without_a_database(house: House, caller: SipCaller) -> None:
    house.calls.away = True
    caller.dial(house.port)
    assert (await caller.hears(Failed)).status == 503
    assert house.media.legs == {}


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


async def test_a_caller_who_gives_up_before_the_answer_is_cancelled(house: House, caller: SipCaller) -> None:
    caller.dial(house.port)
    caller.invite.cancel()
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending is not None
    assert record.ending.result in ("cancelled", "completed")  # the answer may have been faster
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


async def test_a_record_names_no_gateway_of_another_organisation(house: House, caller: SipCaller) -> None:
    theirs = gateway("secret carrier", "192.0.2.0/24", organisation="org_b")
    house.gateways.gateways = (theirs, gateway("our carrier", "198.51.100.0/24"))
    await house.switchboard.desk.gatekeeper.refresh()
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    record = await house.recorded(lambda each: each.trace)
    assert "our carrier" in repr(record.trace)
    assert "secret carrier" not in repr(record.trace)


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


async def test_a_caller_muted_while_the_media_process_was_out_of_reach_is_silent_when_it_is_back(
    house: House, caller: SipCaller
) -> None:
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    record = await house.recorded(lambda each: each.participant)
    (leg,) = house.media.legs
    await until(lambda: house.media.legs[leg].bridge)
    house.media.lose_link()
    await house.meetings.set_muted(record.participant or "", True, by="api")
    await house.meetings.settled()
    assert not house.media.legs[leg].muted
    house.media.regain_link()
    await until(lambda: house.media.legs[leg].muted)
    assert house.switchboard.running == 1


async def test_a_caller_unmuted_while_their_leg_is_put_right_is_heard(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    record = await house.recorded(lambda each: each.participant)
    (leg,) = house.media.legs
    await until(lambda: house.media.legs[leg].bridge)
    house.media.lose_link()
    await house.meetings.set_muted(record.participant or "", True, by="api")
    await house.meetings.settled()
    perform = house.media.perform

    async def unmuted_meanwhile(command: Command) -> None:
        if isinstance(command, OpenBridge):
            monkeypatch.setattr(house.media, "perform", perform)
            await house.meetings.set_muted(record.participant or "", False, by="api")
            await house.meetings.settled()
        await perform(command)

    monkeypatch.setattr(house.media, "perform", unmuted_meanwhile)
    house.media.regain_link()
    await until(lambda: any(join.muted for join in house.media.sent(JoinLeg)))
    await until(lambda: not house.media.legs[leg].muted)


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


async def test_room_numbers_lead_straight_in(house: House, caller: SipCaller) -> None:
    room = await house.room()
    house.numbers.numbers = (number(OUR_NUMBER, room=room.id),)
    caller.dial(house.port)
    await caller.answered()
    record = await house.recorded(lambda each: each.state == "in_room")
    assert "code_asked" not in [step.what for step in record.steps]


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
