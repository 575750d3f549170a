from __future__ import annotations

import msgspec
import pytest

from dialroom.calls.negotiation import MediaSide, NoCommonMediaError, SideState
from dialroom.media.protocol import OpusParameters

OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\n"
)


def side() -> MediaSide:
    side = MediaSide("192.0.2.1", peer="198.51.100.7")
    side.opened("10.0.0.1", 20000)
    return side


def test_an_offer_is_answered_with_our_address_and_settles_the_leg() -> None:
    ours = side()
    answer = ours.answer(OFFER)
    assert b"c=IN IP4 192.0.2.1" in answer
    assert b"m=audio 20000 RTP/AVP 0" in answer
    media = ours.media
    assert media is not None
    assert (media.remote_address, media.remote_rtp_port, media.codec.name, media.codec.ptime) == (
        "192.0.2.9",
        40000,
        "PCMU",
        30,
    )
    assert media.telephone_event is not None
    assert media.telephone_event.payload_type == 101


@pytest.mark.parametrize("ours_offers", [False, True])
def test_what_a_phone_asks_of_opus_reaches_the_media_plane(ours_offers: bool) -> None:
    theirs = OFFER.replace(b"RTP/AVP 0 101", b"RTP/AVP 111") + (
        b"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 maxaveragebitrate=16000;maxplaybackrate=8000;cbr=1\r\n"
    )
    ours = side()
    if ours_offers:
        ours.offer()
        ours.answered(theirs)
    else:
        ours.answer(theirs)
    assert ours.media is not None
    assert ours.media.codec.opus == OpusParameters(maxaveragebitrate=16_000, maxplaybackrate=8_000, cbr=True)


def test_a_phone_without_opus_asks_nothing_of_it() -> None:
    ours = side()
    ours.answer(OFFER)
    assert ours.media is not None
    assert ours.media.codec.opus is None


def test_a_media_process_elsewhere_says_its_own_address() -> None:
    ours = MediaSide("")
    ours.opened("203.0.113.5", 20000)
    assert b"c=IN IP4 203.0.113.5" in ours.answer(OFFER)


IPV6_OFFER = OFFER.replace(b"c=IN IP4 192.0.2.9", b"c=IN IP6 2001:db8::9")


@pytest.mark.parametrize("ours_offers", [False, True])
def test_media_by_ipv6_alone_is_refused_by_who_has_ipv4_alone(ours_offers: bool) -> None:
    ours = side()
    ours.answer(OFFER)
    agreed = ours.state.agreed
    if ours_offers:
        ours.offer()
    take = ours.answered if ours_offers else ours.answer
    with pytest.raises(NoCommonMediaError, match="IPv6"):
        take(IPV6_OFFER)
    assert ours.state.agreed == agreed


def test_media_by_ipv6_is_taken_by_who_has_an_ipv6_address() -> None:
    ours = MediaSide("2001:db8::1", peer="2001:db8::7")
    ours.opened("10.0.0.1", 20000)
    assert b"c=IN IP6 2001:db8::1" in ours.answer(IPV6_OFFER)


def test_a_peer_that_names_its_host_is_reached_where_its_signalling_comes_from() -> None:
    ours = side()
    ours.answer(OFFER.replace(b"c=IN IP4 192.0.2.9", b"c=IN IP4 phone.example.com"))
    assert ours.media is not None
    assert ours.media.remote_address == "198.51.100.7"


@pytest.mark.parametrize("said", ["IP4 127.0.0.1", "IP4 0.0.0.0", "IP6 ::1", "IP6 ::", "IP6 ::ffff:127.0.0.1"])
def test_nobody_elsewhere_has_us_speak_to_ourselves(said: str) -> None:
    ours = side()
    offer = OFFER.replace(b"c=IN IP4 192.0.2.9", f"c=IN {said}".encode())
    assert ours.hints(offer).get("remote_address") == "198.51.100.7"
    ours.answer(offer)
    assert ours.media is not None
    assert ours.media.remote_address == "198.51.100.7"


def test_a_phone_on_this_machine_is_reached_on_it() -> None:
    ours = MediaSide("127.0.0.1", peer="127.0.0.1")
    ours.opened("127.0.0.1", 20000)
    ours.answer(OFFER.replace(b"c=IN IP4 192.0.2.9", b"c=IN IP4 127.0.0.1"))
    assert ours.media is not None
    assert ours.media.remote_address == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "told"),
    [("198.51.100.7", "198.51.100.7"), ("fe80::7%eth0", "fe80::7"), ("phone.example.org", None), ("", None)],
)
def test_the_media_plane_is_told_where_the_signalling_comes_from(peer: str, told: str | None) -> None:
    side = MediaSide("192.0.2.1", peer=peer)
    assert side.hints(None).get("signalling_address") == told


def test_an_unusable_offer_changes_nothing() -> None:
    ours = side()
    ours.answer(OFFER)
    before = ours.state
    for bad in (b"", b"v=0\r\nrubbish", OFFER.replace(b"AVP 0 101", b"AVP 18")):
        with pytest.raises(NoCommonMediaError):
            ours.answer(bad)
    assert ours.state == before


def test_our_offer_is_settled_by_its_answer_and_by_nothing_else() -> None:
    ours = side()
    ours.answered(OFFER)
    assert ours.media is None
    assert b"opus/48000/2" in ours.offer()
    ours.answered(OFFER)
    assert ours.codec == "PCMU"
    assert ours.difference(None) == "codec PCMU, 30 ms"


def test_the_version_goes_up_with_every_change_over_a_restart_too() -> None:
    ours = side()
    ours.answer(OFFER)
    stored = msgspec.msgpack.encode(ours.state)
    again = MediaSide.restored(msgspec.msgpack.decode(stored, type=SideState), peer="198.51.100.7")
    assert again.media == ours.media
    held = again.answer(OFFER + b"a=sendonly\r\n")
    assert b" 2 IN IP4 192.0.2.1" in held
    assert b"a=recvonly" in held
    assert again.difference(ours.state.agreed) == "put on hold"
    assert again.media is not None
    assert again.media.direction == "inactive", "its hold music is not for the room"


def test_only_the_codecs_that_were_asked_for_are_offered() -> None:
    ours = MediaSide("192.0.2.1", codecs=["PCMA"])
    ours.opened("", 20000)
    assert b"RTP/AVP 8 " in ours.offer()
