"""What crosses between signalling and media: offers nobody answers, changes that fail half way, a call given up."""

from __future__ import annotations

import asyncio

import pytest

from dialroom.calls.journal import CallJournal
from dialroom.calls.sip_leg import SipLeg
from dialroom.core.ending import Ending
from dialroom.media.protocol import Command, ConfigureLeg, JoinLeg, SetLegGain
from dialroom.sip.session.events import Ended, OfferRejected, RemoteAnswer, SessionEvent
from dialroom.sip.session.invite import acknowledge_with

from .switchboard_room import CODE, OFFER, House, SipCaller, until


def offer_pending(house: House) -> bool:
    (session,) = house.sip._sessions
    return session.offer is not None


def give_up_reinvite(caller: SipCaller) -> None:
    """The CANCEL that some phones send when their re-INVITE takes long."""
    reinvite = list(caller.sip._running()._transactions.clients.values())[-1]
    caller.sip._running().cancel(reinvite, None, caller.sip._now())
    caller.sip._flush()


async def test_an_ack_that_leaves_our_offer_without_an_answer_ends_the_call(house: House, caller: SipCaller) -> None:
    caller.dial(house.port, sdp=None)
    await caller.answered()
    session = caller.invite._session
    caller.sip.act(session, lambda now: acknowledge_with(session, None, now))
    await caller.hears(Ended)
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("failed", "media_refused", 200, "network")
    assert house.media.legs == {}


async def test_a_reinvite_that_the_media_plane_cannot_follow_leaves_the_call_as_it_was(
    house: House, caller: SipCaller
) -> None:
    caller.dial(house.port)
    first = await caller.answered()
    house.media.refuse_next(ConfigureLeg, "bad_value")
    changed = OFFER.replace(b"1 1 IN", b"1 2 IN").replace(b"audio 40000 RTP/AVP 0 8", b"audio 41000 RTP/AVP 8")
    caller.invite.reinvite(changed)
    assert (await caller.hears(OfferRejected)).status == 500
    caller.invite.reinvite(OFFER)
    assert (await caller.hears(RemoteAnswer)).sdp == first
    record = await house.recorded(lambda each: each.state == "answered")
    assert [step.what for step in record.steps].count("media_changed") == 0


async def test_a_fax_that_wants_t38_is_refused_and_the_call_goes_on(house: House, caller: SipCaller) -> None:
    caller.dial(house.port)
    first = await caller.answered()
    fax = OFFER.partition(b"m=audio")[0].replace(b"1 1 IN", b"1 2 IN") + b"m=image 40002 udptl t38\r\n"
    caller.invite.reinvite(fax)
    assert (await caller.hears(OfferRejected)).status == 488
    record = await house.recorded(lambda each: any(step.what == "media_change_refused" for step in each.steps))
    assert record.state == "answered"
    assert len(house.media.sent(ConfigureLeg)) == 1
    caller.invite.reinvite(OFFER)
    assert (await caller.hears(RemoteAnswer)).sdp == first


async def test_a_reinvite_cancelled_while_the_media_change_leaves_the_call_as_it_was(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller.dial(house.port)
    await caller.answered()
    perform, changing, go_on = house.media.perform, asyncio.Event(), asyncio.Event()

    async def slow(command: Command) -> None:
        if isinstance(command, ConfigureLeg) and not changing.is_set():
            changing.set()
            await go_on.wait()
        await perform(command)

    monkeypatch.setattr(house.media, "perform", slow)
    changed = OFFER.replace(b"1 1 IN", b"1 2 IN").replace(b"audio 40000", b"audio 41000")
    caller.invite.reinvite(changed)
    await changing.wait()
    give_up_reinvite(caller)
    assert (await caller.hears(OfferRejected)).status == 487
    go_on.set()
    await until(lambda: len(house.media.sent(ConfigureLeg)) == 3)
    ports = [command.media.remote_rtp_port for command in house.media.sent(ConfigureLeg)]
    assert ports == [40000, 41000, 40000]
    assert [step.what for step in house.record.steps].count("media_changed") == 0


@pytest.mark.parametrize("busy_with", ["media", "record"])
async def test_a_reinvite_cancelled_and_made_anew_is_answered_as_it_is_now(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch, busy_with: str
) -> None:
    caller.dial(house.port)
    await caller.answered()
    await house.recorded(lambda each: each.state == "answered")
    perform, note, busy, go_on = house.media.perform, CallJournal.note, asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        if not busy.is_set():
            busy.set()
            await go_on.wait()

    async def slow_media(command: Command) -> None:
        if isinstance(command, ConfigureLeg):
            await wait()
        await perform(command)

    async def slow_record(journal: CallJournal, what: str, detail: str = "") -> None:
        await wait()
        await note(journal, what, detail)

    first = OFFER.replace(b"1 1 IN", b"1 2 IN").replace(b"audio 40000", b"audio 41000")
    if busy_with == "media":
        monkeypatch.setattr(house.media, "perform", slow_media)
    else:
        monkeypatch.setattr(CallJournal, "note", slow_record)
        caller.invite.reinvite(first.replace(b"RTP/AVP 0 8", b"RTP/AVP 18"))
        assert (await caller.hears(OfferRejected)).status == 488
    caller.invite.reinvite(first)
    await busy.wait()
    await until(lambda: offer_pending(house))
    give_up_reinvite(caller)
    assert (await caller.hears(OfferRejected)).status == 487
    second = OFFER.replace(b"1 1 IN", b"1 3 IN").replace(b"audio 40000 RTP/AVP 0 8", b"audio 42000 RTP/AVP 8")
    caller.invite.reinvite(second)
    await until(lambda: offer_pending(house))
    go_on.set()
    answer = await caller.hears(RemoteAnswer)
    assert b"RTP/AVP 8 101" in answer.sdp
    media = house.media.sent(ConfigureLeg)[-1].media
    assert (media.remote_rtp_port, media.codec.name) == (42000, "PCMA")


async def test_a_leg_that_the_media_process_does_not_know_ends_its_call(house: House, caller: SipCaller) -> None:
    room = await house.room()
    caller.dial(house.port)
    await caller.answered()
    house.media.refuse_next(JoinLeg, "unknown_leg")
    caller.press(CODE)
    await caller.hears(Ended)
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("failed", "media_lost", 200, "server")
    assert house.people(room) == []


async def test_a_command_that_the_media_process_refuses_costs_nobody_the_call(house: House, caller: SipCaller) -> None:
    await house.room()
    caller.dial(house.port)
    await caller.answered()
    caller.press(CODE)
    await house.recorded(lambda each: each.state == "in_room")
    house.media.refuse_next(SetLegGain, "bad_value")
    caller.press("*4*8")
    await until(lambda: "en/only_you@0" in house.media.clips_played(house.record.leg or ""))
    assert house.record.state == "in_room"


async def test_a_call_cancelled_in_the_moment_of_its_answer_is_not_on_record_as_answered(
    house: House, caller: SipCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, go_on = asyncio.Event(), asyncio.Event()
    perform, tell = house.media.perform, SipLeg._signalled

    async def slow(command: Command) -> None:
        await perform(command)
        if isinstance(command, ConfigureLeg):
            opened.set()
            await go_on.wait()

    async def late(leg: SipLeg, event: SessionEvent) -> None:
        (call,) = house.switchboard._running.values()
        assert call._flow is not None
        go_on.set()  # the flow answers before it was told of the CANCEL
        await asyncio.wait({call._flow}, timeout=2)
        await tell(leg, event)

    monkeypatch.setattr(house.media, "perform", slow)
    monkeypatch.setattr(SipLeg, "_signalled", late)
    caller.dial(house.port)
    await opened.wait()
    caller.invite.cancel()
    record = await house.recorded(lambda each: each.state == "ended")
    assert record.ending == Ending("cancelled", "caller_cancelled", 487, "caller")
    assert record.answered_at is None
    assert "call.answered" not in house.calls.told
