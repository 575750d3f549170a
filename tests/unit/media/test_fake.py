"""The fake media plane behaves as the media process does."""

from __future__ import annotations

import asyncio

import pytest

from dialroom.media import protocol as p
from dialroom.media.fake import FakeMediaPlane
from dialroom.media.plane import MediaLost, MediaRefused


@pytest.fixture
def fake() -> FakeMediaPlane:
    return FakeMediaPlane()


def heard(fake: FakeMediaPlane) -> list[p.Event]:
    events: list[p.Event] = []
    fake.listen_all(events.append)
    return events


async def test_a_leg_is_opened_played_to_and_closed(fake: FakeMediaPlane) -> None:
    events = heard(fake)
    opened = await fake.open_leg("l")
    assert opened.rtcp_port == opened.rtp_port + 1
    assert await fake.open_leg("l") == opened
    await fake.perform(p.Play(leg="l", playback="a", items=[p.PlayClip(clip="c")]))
    assert fake.clips_playing("l") == ["c"]
    await fake.perform(p.Play(leg="l", playback="b", items=[]))
    fake.finish_playback("l")
    await fake.close_leg("l")
    assert events == [
        p.PlaybackEnded(leg="l", playback="a", reason="replaced"),
        p.PlaybackEnded(leg="l", playback="b", reason="finished"),
    ]


async def test_digits_reach_only_who_listens_to_the_leg(fake: FakeMediaPlane) -> None:
    one: list[p.Event] = []
    unlisten = fake.listen("one", one.append)
    fake.press("one", "1#")
    fake.press("two", "9")
    unlisten()
    fake.press("one", "2")
    assert [event.digit for event in one if isinstance(event, p.DigitReceived)] == ["1", "#"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (p.MuteLeg(leg="none", muted=True), "unknown_leg"),
        (p.Subscribe(peer="none", slots=[]), "unknown_peer"),
        (p.PlayToBridge(bridge="none", items=[]), "unknown_bridge"),
    ],
)
async def test_what_is_unknown_is_refused(fake: FakeMediaPlane, command: p.Command, code: str) -> None:
    with pytest.raises(MediaRefused) as refused:
        await fake.request(command)
    assert refused.value.code == code


async def test_a_refusal_can_be_asked_for(fake: FakeMediaPlane) -> None:
    fake.refuse_next(p.OpenLeg, "no_port")
    with pytest.raises(MediaRefused, match="no_port"):
        await fake.open_leg("l")
    await fake.open_leg("l")


async def test_a_lost_link_refuses_commands_and_is_told(fake: FakeMediaPlane) -> None:
    told: list[p.Snapshot | None] = []
    fake.listen_link(told.append)
    fake.lose_link()
    with pytest.raises(MediaLost):
        await fake.perform(p.Ping())
    fake.regain_link()
    await fake.perform(p.Ping())
    assert told[0] is None
    assert told[1] == fake.snapshot()


async def test_a_closed_bridge_leaves_its_legs_open(fake: FakeMediaPlane) -> None:
    await fake.open_leg("l")
    await fake.perform(p.OpenBridge(bridge="b"))
    await fake.perform(p.JoinLeg(leg="l", bridge="b", participant="p"))
    assert fake.legs["l"].bridge == "b"
    await fake.perform(p.CloseBridge(bridge="b"))
    assert fake.legs["l"].bridge is None


async def test_with_auto_finish_playbacks_end_by_themselves() -> None:
    fake = FakeMediaPlane(auto_finish=True)
    events = heard(fake)
    await fake.open_leg("l")
    await fake.perform(p.Play(leg="l", playback="a", items=[]))
    await fake.perform(p.SendDigits(leg="l", digits="1"))
    await fake.wait_for(p.SendDigits)
    await asyncio.sleep(0)
    assert p.PlaybackEnded(leg="l", playback="a", reason="finished") in events


async def test_a_failing_handler_disturbs_nobody_else(fake: FakeMediaPlane) -> None:
    def fail(event: p.Event) -> None:
        raise ValueError(event)

    fake.listen("l", fail)
    events = heard(fake)
    fake.press("l", "1")
    assert len(events) == 1
