"""Offer and answer as phones and carriers do it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialroom.sdp.codecs import Codec
from dialroom.sdp.errors import NotAcceptable, SdpError
from dialroom.sdp.media import MediaDescription, TelephoneEvent, changes
from dialroom.sdp.offer_answer import LocalMedia, accept_answer, make_answer, make_offer
from dialroom.sdp.parser import parse

OURS = LocalMedia(address="10.0.0.1", rtp_port=20000, session_id=7)


def offer(
    media: str = "m=audio 4000 RTP/AVP 0 8 101",
    lines: str = "a=rtpmap:101 telephone-event/8000",
    *,
    address: str = "192.0.2.5",
    head: str = "",
    origin: str = "- 1 1",
) -> bytes:
    start = f"v=0\r\no={origin} IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
    return f"{start}{head}{media}\r\n{lines}\r\n".encode()


def agreed(*args: str, **more: str) -> MediaDescription:
    return make_answer(offer(*args, **more), OURS).media


def answered(*args: str, **more: str) -> list[str]:
    return make_answer(offer(*args, **more), OURS).sdp.decode().split("\r\n")


def test_a_plain_phone_gets_its_g711_and_its_digits() -> None:
    assert agreed() == MediaDescription(
        address="192.0.2.5",
        rtp_port=4000,
        rtcp_port=4001,
        rtcp_mux=False,
        codec=Codec("PCMU", 0, 8000),
        telephone_event=TelephoneEvent(101, 8000),
        comfort_noise_payload_type=None,
        direction="sendrecv",
    )
    lines = answered()
    assert "m=audio 20000 RTP/AVP 0 101" in lines
    assert "a=fmtp:101 0-16" in lines
    assert "a=sendrecv" in lines
    assert "c=IN IP4 10.0.0.1" in lines


def test_our_preference_decides_not_the_order_of_the_offer() -> None:
    media = "m=audio 4000 RTP/AVP 8 0 9 96 97 98"
    lines = "a=rtpmap:96 OPUS/48000/2\r\na=fmtp:96 maxplaybackrate=16000\r\na=rtpmap:97 telephone-event/48000\r\n"
    lines += "a=rtpmap:98 telephone-event/8000"
    media_description = agreed(media, lines)
    assert media_description.codec == Codec("opus", 96, 48000, 2, 20, "maxplaybackrate=16000")
    assert media_description.telephone_event == TelephoneEvent(97, 48000)
    assert agreed("m=audio 4000 RTP/AVP 8 0 9", "").codec.name == "G722"
    assert agreed("m=audio 4000 RTP/AVP 8 0", "").codec.name == "PCMU"
    only_a_law = make_answer(offer(), LocalMedia(address="::1", rtp_port=1, session_id=1, preference=("PCMA", "PCMU")))
    assert only_a_law.media.codec.name == "PCMA"


def test_opus_with_telephone_event_at_8000_hz_uses_that() -> None:
    media = agreed("m=audio 4000 RTP/AVP 96 101", "a=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000")
    assert media.telephone_event == TelephoneEvent(101, 8000)


def test_g711_never_takes_telephone_event_of_another_clock() -> None:
    assert agreed("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/48000").telephone_event is None


def test_comfort_noise_is_agreed_where_offered() -> None:
    assert agreed("m=audio 4000 RTP/AVP 0 13", "").comfort_noise_payload_type == 13
    assert "m=audio 20000 RTP/AVP 0 13" in answered("m=audio 4000 RTP/AVP 0 13", "")


@pytest.mark.parametrize(
    ("lines", "address", "ours"),
    [
        ("a=sendrecv", "192.0.2.5", "sendrecv"),
        ("a=sendonly", "192.0.2.5", "recvonly"),
        ("a=recvonly", "192.0.2.5", "sendonly"),
        ("a=inactive", "192.0.2.5", "inactive"),
        ("a=sendrecv", "0.0.0.0", "recvonly"),
        ("a=ptime:20", "0.0.0.0", "recvonly"),
        ("a=sendonly", "0.0.0.0", "recvonly"),
        ("a=recvonly", "0.0.0.0", "inactive"),
        ("a=inactive", "0.0.0.0", "inactive"),
    ],
)
def test_hold_is_answered_with_its_mirror_image(lines: str, address: str, ours: str) -> None:
    assert agreed(lines=lines, address=address).direction == ours
    assert f"a={ours}" in answered(lines=lines, address=address)


def test_a_direction_for_the_whole_session_holds_for_its_media() -> None:
    assert agreed(lines="a=ptime:20", head="a=sendonly\r\n").direction == "recvonly"
    assert agreed(lines="a=sendrecv", head="a=sendonly\r\n").direction == "sendrecv"


def test_what_hold_and_resume_change_is_told() -> None:
    talking, held = agreed(), agreed(lines="a=rtpmap:101 telephone-event/8000\r\na=sendonly")
    assert held.held
    assert (held.sends, held.receives) == (False, True)
    assert changes(talking, held).held
    assert changes(held, talking).resumed
    assert not changes(talking, talking)
    moved = agreed("m=audio 4002 RTP/AVP 0 8 101")
    assert changes(talking, moved).address
    assert not changes(talking, moved).codec
    other = agreed("m=audio 4000 RTP/AVP 8 101")
    assert changes(talking, other).codec


def test_video_and_a_second_audio_stream_are_refused_in_their_places() -> None:
    media = "m=video 5000 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/AVP 8\r\nm=application 9 UDP/BFCP *"
    lines = [line for line in answered(media, "") if line.startswith("m=")]
    assert lines == [
        "m=video 0 RTP/AVP 31",
        "m=audio 20000 RTP/AVP 0",
        "m=audio 0 RTP/AVP 8",
        "m=application 0 UDP/BFCP *",
    ]


def test_the_first_audio_stream_that_can_be_talked_is_taken() -> None:
    media = agreed(
        "m=audio 4000 RTP/SAVP 0\r\nm=audio 0 RTP/AVP 0\r\nm=audio 4004 RTP/AVP 18\r\nm=audio 4002 RTP/AVP 8", ""
    )
    assert media.rtp_port == 4002


@pytest.mark.parametrize(
    "media",
    ["m=audio 4000 RTP/AVP 18", "m=audio 0 RTP/AVP 0", "m=audio 4000 RTP/SAVP 0", "m=video 4000 RTP/AVP 0",
     "m=audio 4000 RTP/AVP 96", "m=audio 4000 RTP/AVP 4294967296", "m=audio 4000 RTP/AVP x"],
)  # fmt: skip
def test_nothing_in_common_is_not_acceptable(media: str) -> None:
    with pytest.raises(NotAcceptable):
        make_answer(offer(media, ""), OURS)


def test_rtcp_goes_where_the_peer_says() -> None:
    assert agreed(lines="a=rtcp:5555 IN IP4 192.0.2.5").rtcp_port == 5555
    assert agreed(lines="a=rtcp:99999").rtcp_port == 4001
    muxed = agreed(lines="a=rtcp-mux\r\na=rtcp:5555")
    assert (muxed.rtcp_mux, muxed.rtcp_port) == (True, 4000)
    assert "a=rtcp-mux" in answered(lines="a=rtcp-mux")
    assert "a=rtcp-mux" not in answered()
    plain = make_answer(
        offer(lines="a=rtcp-mux"), LocalMedia(address="1.1.1.1", rtp_port=2, session_id=1, rtcp_mux=False)
    )
    assert not plain.media.rtcp_mux


@pytest.mark.parametrize(
    ("lines", "ptime"),
    [("a=x", 20), ("a=ptime:30", 30), ("a=ptime:5", 10), ("a=ptime:200", 60), ("a=ptime:40\r\na=maxptime:30", 30),
     ("a=ptime:20.0", 20), ("a=ptime:abc", 20), ("a=ptime:0", 20), ("a=ptime:25", 20)],
)  # fmt: skip
def test_the_packet_time_is_what_the_peer_wants_within_what_we_can(lines: str, ptime: int) -> None:
    assert agreed(lines=lines).codec.ptime == ptime


def test_a_media_level_address_wins() -> None:
    assert agreed("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 198.51.100.1", "").address == "198.51.100.1"
    assert agreed("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1", "").address == "2001:db8::1"


def test_an_audio_stream_without_any_address_is_an_error() -> None:
    with pytest.raises(SdpError):
        make_answer(offer().replace(b"c=IN IP4 192.0.2.5\r\n", b""), OURS)


def test_our_own_offer_is_answered_by_ourselves() -> None:
    mine = make_offer(OURS)
    reply = make_answer(mine, LocalMedia(address="10.0.0.2", rtp_port=30000, session_id=8))
    media = accept_answer(mine, reply.sdp)
    assert (media.address, media.rtp_port, media.codec.name) == ("10.0.0.2", 30000, "opus")
    assert media.telephone_event == reply.media.telephone_event
    assert reply.media.address == "10.0.0.1"


def test_our_offer_names_everything_we_talk() -> None:
    lines = make_offer(OURS).decode().split("\r\n")
    assert "m=audio 20000 RTP/AVP 111 9 0 8 13 110 101" in lines
    assert "a=rtpmap:111 opus/48000/2" in lines
    small = make_offer(LocalMedia(address="::1", rtp_port=4, session_id=1, preference=("PCMU",), direction="sendonly"))
    assert b"m=audio 4 RTP/AVP 0 13 101\r\n" in small
    assert b"c=IN IP6 ::1\r\n" in small
    assert b"a=sendonly\r\n" in small


def test_the_answerer_decides_the_codec_of_our_offer() -> None:
    media = accept_answer(make_offer(OURS), offer("m=audio 4000 RTP/AVP 8 101"))
    assert (media.codec.name, media.telephone_event) == ("PCMA", TelephoneEvent(101, 8000))


def test_an_answer_that_listens_only_makes_us_send_only() -> None:
    assert accept_answer(make_offer(OURS), offer(lines="a=recvonly")).direction == "sendonly"
    hold = make_offer(LocalMedia(address="1.1.1.1", rtp_port=2, session_id=1, direction="sendonly"))
    assert accept_answer(hold, offer(lines="a=sendrecv")).direction == "sendonly"
    assert accept_answer(hold, offer(lines="a=recvonly")).direction == "sendonly"


def test_an_answer_that_refuses_our_audio_is_not_acceptable() -> None:
    for media in ("m=audio 0 RTP/AVP 0", "m=audio 4000 RTP/AVP 18"):
        with pytest.raises(NotAcceptable):
            accept_answer(make_offer(OURS), offer(media, ""))
    with pytest.raises(SdpError):
        accept_answer(make_offer(OURS), b"v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nt=0 0\r\n")


def version(sdp: bytes) -> int:
    return parse(sdp).origin.version


def test_the_version_goes_up_with_every_change_and_only_then() -> None:
    first = make_answer(offer(), OURS).sdp
    same = LocalMedia(address="10.0.0.1", rtp_port=20000, session_id=7, previous=first)
    assert make_answer(offer(), same).sdp == first
    held = make_answer(offer(lines="a=sendonly"), same).sdp
    assert version(held) == version(first) + 1
    after = LocalMedia(address="10.0.0.1", rtp_port=20000, session_id=7, previous=held)
    assert version(make_answer(offer(), after).sdp) == version(first) + 2


def test_an_offer_in_a_running_session_keeps_the_places_of_refused_media() -> None:
    first = make_answer(offer("m=video 5000 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 0", ""), OURS).sdp
    again = parse(make_offer(LocalMedia(address="10.0.0.1", rtp_port=20000, session_id=7, previous=first)))
    assert [(media.kind, media.port) for media in again.media] == [("video", 0), ("audio", 20000)]
    assert again.origin.version == 2


SPOILERS = st.sampled_from(
    ["\r\n", "=", ":", "/", " ", "-1", "99999999999999999999", "\x00", "é", "m=", "a=rtpmap:65535 x/1", "\n"]
)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 400), SPOILERS), max_size=5), st.binary(max_size=100))
def test_any_description_is_answered_or_raises_the_one_error(spoilt: list[tuple[int, str]], garbage: bytes) -> None:
    text = make_offer(OURS).decode()
    for at, what in spoilt:
        text = text[:at] + what + text[at:]
    for data in (text.encode(), garbage, offer() + garbage):
        for act in (lambda sdp: make_answer(sdp, OURS).sdp, lambda sdp: accept_answer(make_offer(OURS), sdp)):
            try:
                act(data)
            except SdpError:
                continue


@pytest.mark.parametrize("address", ["IP4 224.2.1.1/127", "IP4 255.255.255.255", "IP6 ff02::1"])
def test_nobody_has_us_speak_to_a_group(address: str) -> None:
    foreign = offer(lines=f"c=IN {address}")
    with pytest.raises(NotAcceptable):
        make_answer(foreign, OURS)
    with pytest.raises(NotAcceptable):
        accept_answer(make_offer(OURS), foreign)


def test_an_offer_we_cannot_talk_is_refused_with_what_was_in_it() -> None:
    offered = (
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        b"m=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\nm=audio 4002 RTP/SAVP 0\r\n"
    )
    with pytest.raises(NotAcceptable, match="audio RTP/AVP G729; audio RTP/SAVP PCMU"):
        make_answer(offered, OURS)
