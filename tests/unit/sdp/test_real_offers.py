"""Offers as equipment sends them, and what a carrier's engineer would want to see in each answer.

Each is the body that such a device writes, with documentation addresses. The verdict is the answer's `m=` lines,
and what was agreed: codec, its payload type, packet time, telephone-event, direction, and where RTP and RTCP go.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dialroom.sdp.errors import NotAcceptable
from dialroom.sdp.offer_answer import LocalMedia, Negotiated, make_answer
from dialroom.sdp.opus import parse_opus

OURS = LocalMedia(address="198.51.100.1", rtp_port=20000, session_id=7)


@dataclass(frozen=True)
class Case:
    name: str
    offer: str
    answer: tuple[str, ...] = ()
    """The `m=` lines; none: 488."""
    codec: tuple[str, int, int] = ("PCMU", 0, 20)
    event: int | None = 101
    direction: str = "sendrecv"
    rtp: tuple[str, int] = ("192.0.2.5", 4000)
    rtcp: int = 4001


def head(origin: str = "- 1 1", *, connection: str = "IN IP4 192.0.2.5", more: str = "") -> str:
    return f"v=0\no={origin} IN IP4 192.0.2.5\ns=-\nc={connection}\nt=0 0\n{more}"


EVENTS = "a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n"

CASES = [
    Case(
        "Cisco gateway, old",
        "v=0\no=CiscoSystemsSIP-GW-UserAgent 4531 7623 IN IP4 192.0.2.5\ns=SIP Call\nc=IN IP4 192.0.2.5\nt=0 0\n"
        "m=audio 17362 RTP/AVP 18 0 8 101 19\nc=IN IP4 192.0.2.5\na=rtpmap:18 G729/8000\na=fmtp:18 annexb=no\n"
        "a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n"
        "a=rtpmap:19 CN/8000\na=ptime:20\n",
        ("m=audio 20000 RTP/AVP 0 19 101",),
        rtp=("192.0.2.5", 17362),
        rtcp=17363,
    ),
    Case(
        "Cisco phone 79xx, capabilities in X- attributes",
        "v=0\no=Cisco-SIPUA 13045 0 IN IP4 192.0.2.5\ns=SIP Call\nt=0 0\n"
        "m=audio 4000 RTP/AVP 102 9 0 8 116 124 101\nc=IN IP4 192.0.2.5\na=rtpmap:102 L16/16000\n"
        "a=rtpmap:9 G722/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:116 iLBC/8000\n"
        "a=fmtp:116 mode=20\na=rtpmap:124 ISAC/16000\n"
        + EVENTS
        + "a=sendrecv\na=X-sqn:0\na=X-cap: 1 image udptl t38\n",
        ("m=audio 20000 RTP/AVP 9 101",),
        ("G722", 9, 20),
    ),
    Case(
        "Asterisk chan_sip",
        head("root 1821 1821")
        + "b=CT:384\nm=audio 4000 RTP/AVP 8 0 3 97 101\na=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\n"
        "a=rtpmap:3 GSM/8000\na=rtpmap:97 speex/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\n"
        "a=silenceSupp:off - - - -\na=ptime:20\na=sendrecv\n",
        ("m=audio 20000 RTP/AVP 0 101",),
    ),
    Case(
        "Asterisk PJSIP with a video line without formats of ours",
        head("- 84013094 84013094")
        + "m=audio 4000 RTP/AVP 107 0 101\na=rtpmap:107 opus/48000/2\na=fmtp:107 useinbandfec=1\n"
        "a=rtpmap:0 PCMU/8000\n" + EVENTS + "a=ptime:20\na=maxptime:60\na=sendrecv\n"
        "m=video 5000 RTP/AVP 99\na=rtpmap:99 H264/90000\na=sendrecv\n",
        ("m=audio 20000 RTP/AVP 107 101", "m=video 0 RTP/AVP 99"),
        ("opus", 107, 20),
    ),
    Case(
        "FreeSWITCH, two telephone-events, CN at both clocks",
        head("FreeSWITCH 1700000000 1700000001")
        + "m=audio 4000 RTP/AVP 96 0 8 101 97 13 98\na=rtpmap:96 opus/48000/2\n"
        "a=fmtp:96 useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000; ptime=20; minptime=10; maxptime=40\n"
        "a=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/48000\na=fmtp:101 0-16\n"
        "a=rtpmap:97 telephone-event/8000\na=fmtp:97 0-16\na=rtpmap:13 CN/8000\na=rtpmap:98 CN/48000\na=ptime:20\n",
        ("m=audio 20000 RTP/AVP 96 98 101",),
        ("opus", 96, 20),
    ),
    Case(
        "Kamailio and rtpengine: ICE and SDES lines on plain RTP",
        head() + "m=audio 4000 RTP/AVP 0 101\na=rtpmap:0 PCMU/8000\n" + EVENTS + "a=sendrecv\na=rtcp:4001\na=rtcp-mux\n"
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:VmVyeSBzZWNyZXQgaW5kZWVkLCBidXQgbm90IGhlcmU=\n"
        "a=ice-ufrag:Gq9B8YqK\na=ice-pwd:JdKpcFpZ0DZzVk7Cbgxr0rM2\n"
        "a=candidate:ux 1 UDP 2130706431 192.0.2.5 4000 typ host\n"
        "a=candidate:ux 2 UDP 2130706430 192.0.2.5 4001 typ host\n",
        ("m=audio 20000 RTP/AVP 0 101",),
        rtcp=4000,
    ),
    Case(
        "a browser: DTLS-SRTP is not for a phone leg",
        head(connection="IN IP4 0.0.0.0", more="a=group:BUNDLE 0 1\na=msid-semantic: WMS\n")
        + "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 126\na=mid:0\na=rtcp-mux\na=setup:actpass\na=rtpmap:111 opus/48000/2\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=rtpmap:96 VP8/90000\n",
    ),
    Case(
        "a gateway to browsers that decrypts: RTP/AVPF, feedback and a bundle of one",
        head(more="a=group:BUNDLE audio\n")
        + "m=audio 4000 RTP/AVPF 111 0 110\na=mid:audio\na=rtpmap:111 opus/48000/2\n"
        "a=fmtp:111 minptime=10;useinbandfec=1\na=rtcp-fb:111 transport-cc\na=rtpmap:110 telephone-event/48000\n"
        "a=rtcp-mux\na=ssrc:1 cname:x\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\n",
        ("m=audio 20000 RTP/AVPF 111 110",),
        ("opus", 111, 20),
        110,
        rtcp=4000,
    ),
    Case(
        "Yealink with video, BFCP and a far-end camera",
        head("- 20000 20000")
        + "m=audio 4000 RTP/AVP 9 0 8 18 101\na=rtpmap:9 G722/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\n"
        "a=rtpmap:18 G729/8000\na=fmtp:18 annexb=no\na=fmtp:101 0-15\na=rtpmap:101 telephone-event/8000\na=ptime:20\n"
        "a=sendrecv\nm=video 4002 RTP/AVP 99 97\nb=TIAS:2000000\na=rtpmap:99 H264/90000\na=content:main\n"
        "m=application 4004 UDP/BFCP *\na=floorctrl:c-s\nm=application 4006 RTP/AVP 100\na=rtpmap:100 H224/4800\n",
        (
            "m=audio 20000 RTP/AVP 9 101",
            "m=video 0 RTP/AVP 99",
            "m=application 0 UDP/BFCP *",
            "m=application 0 RTP/AVP 100",
        ),
        ("G722", 9, 20),
    ),
    Case(
        "fax by T.38 in a re-INVITE: refused, the call goes on as it was",
        head()
        + "m=image 4000 udptl t38\na=T38FaxVersion:0\na=T38MaxBitRate:14400\na=T38FaxRateManagement:transferredTCF\n",
    ),
    Case(
        "fax by T.38, the audio's place kept with port 0",
        head() + "m=audio 0 RTP/AVP 0\nm=image 4002 udptl t38\na=T38FaxVersion:0\n",
    ),
    Case(
        "audio and fax at once: the answer names the fax transport as the offer wrote it",
        head() + "m=audio 4000 RTP/AVP 0 101\n" + EVENTS + "m=image 4002 udptl t38\na=T38FaxVersion:0\n",
        ("m=audio 20000 RTP/AVP 0 101", "m=image 0 udptl t38"),
    ),
    Case(
        "telephone-event written 0-15,16",
        head() + "m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\na=fmtp:96 0-15,16\n",
        ("m=audio 20000 RTP/AVP 0 96",),
        event=96,
    ),
    Case(
        "telephone-event without fmtp, named in capitals, with a channel",
        head() + "m=audio 4000 RTP/AVP 8 100\na=rtpmap:8 pcma/8000/1\na=rtpmap:100 TELEPHONE-EVENT/8000/1\n",
        ("m=audio 20000 RTP/AVP 8 100",),
        ("PCMA", 8, 20),
        100,
    ),
    Case(
        "packets of 30 ms",
        head() + "m=audio 4000 RTP/AVP 0 101\n" + EVENTS + "a=ptime:30\n",
        ("m=audio 20000 RTP/AVP 0 101",),
        ("PCMU", 0, 30),
    ),
    Case(
        "packets of at most 10 ms",
        head() + "m=audio 4000 RTP/AVP 0 101\n" + EVENTS + "a=ptime:20\na=maxptime:10\n",
        ("m=audio 20000 RTP/AVP 0 101",),
        ("PCMU", 0, 10),
    ),
    Case(
        "a video recorder's two audio streams",
        head() + "m=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 8\n",
        ("m=audio 20000 RTP/AVP 0", "m=audio 0 RTP/AVP 8"),
        event=None,
    ),
    Case(
        "Snom with optional encryption: SRTP first, RTP second",
        head()
        + "m=audio 4002 RTP/SAVP 9 0 101\na=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:c2VjcmV0\n"
        + EVENTS
        + "m=audio 4000 RTP/AVP 9 0 101\n"
        + EVENTS,
        ("m=audio 0 RTP/SAVP 9", "m=audio 20000 RTP/AVP 9 101"),
        ("G722", 9, 20),
    ),
    Case(
        "a door station whose user name has a space, blanks where none belong",
        "v=0\no=Front Door 5 5 IN IP4 192.0.2.5\ns= \nc=IN IP4 192.0.2.5 \nt=0 0\n"
        "m=audio  4000 RTP/AVP 8  101 \na=rtpmap: 8 PCMA/8000\na=rtpmap:101  telephone-event/8000\na=ptime: 20\n",
        ("m=audio 20000 RTP/AVP 8 101",),
        ("PCMA", 8, 20),
    ),
    Case("SRTP alone", head() + "m=audio 4000 RTP/SAVP 0 101\n" + EVENTS),
    Case("audio that is switched off", head() + "m=audio 0 RTP/AVP 0 8\n"),
    Case("no medium at all", head()),
    Case(
        "hold as RFC 2543 spelt it",
        head(connection="IN IP4 0.0.0.0") + "m=audio 4000 RTP/AVP 0 101\n" + EVENTS,
        ("m=audio 20000 RTP/AVP 0 101",),
        direction="recvonly",
        rtp=("0.0.0.0", 4000),
    ),
    Case(
        "hold with music",
        head(more="a=sendonly\n") + "m=audio 4000 RTP/AVP 8\na=rtpmap:8 PCMA/8000\n",
        ("m=audio 20000 RTP/AVP 8",),
        ("PCMA", 8, 20),
        None,
        "recvonly",
    ),
    Case(
        "hold of both ways",
        head() + "m=audio 4000 RTP/AVP 8\na=inactive\n",
        ("m=audio 20000 RTP/AVP 8",),
        ("PCMA", 8, 20),
        None,
        "inactive",
    ),
    Case(
        "IPv6",
        head(connection="IN IP6 2001:db8::5") + "m=audio 4000 RTP/AVP 0 101\n" + EVENTS,
        ("m=audio 20000 RTP/AVP 0 101",),
        rtp=("2001:db8::5", 4000),
    ),
    Case(
        "RTCP elsewhere",
        head() + "m=audio 4000 RTP/AVP 0 101\n" + EVENTS + "a=rtcp:53020 IN IP4 192.0.2.5\n",
        ("m=audio 20000 RTP/AVP 0 101",),
        rtcp=53020,
    ),
    Case(
        "payload types of the profile that nobody uses any more, and some it never had",
        head() + "m=audio 4000 RTP/AVP 2 4 5 7 15 96 127 35 8 101\na=rtpmap:127 AMR-WB/16000\n" + EVENTS,
        ("m=audio 20000 RTP/AVP 8 101",),
        ("PCMA", 8, 20),
    ),
    Case("G.729 alone", head() + "m=audio 4000 RTP/AVP 18 101\na=fmtp:18 annexb=yes\n" + EVENTS),
    Case(
        "an IMS phone: preconditions, AMR, bandwidth",
        head(more="b=AS:41\nb=RR:0\nb=RS:0\n")
        + "m=audio 4000 RTP/AVP 107 106 8 105 101\nb=AS:41\na=rtpmap:107 AMR-WB/16000/1\na=fmtp:107 octet-align=1\n"
        "a=rtpmap:106 AMR/8000/1\na=rtpmap:105 telephone-event/16000\n" + EVENTS + "a=curr:qos local none\n"
        "a=des:qos optional local sendrecv\na=ptime:20\na=maxptime:240\na=sendrecv\n",
        ("m=audio 20000 RTP/AVP 8 101",),
        ("PCMA", 8, 20),
    ),
    Case(
        "Linphone: opus with what it asks of the sender, session attributes, XR",
        head("alice 3215 2907", more="a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\n")
        + "m=audio 4000 RTP/AVP 96 97 98 0 8 101 99\na=rtpmap:96 opus/48000/2\n"
        "a=fmtp:96 useinbandfec=1;maxaveragebitrate=20000;cbr=1\na=rtpmap:97 speex/16000\na=fmtp:97 vbr=on\n"
        "a=rtpmap:98 speex/8000\na=rtpmap:101 telephone-event/48000\na=rtpmap:99 telephone-event/8000\n"
        "a=rtcp-fb:* trr-int 5000\na=rtcp-fb:* ccm tmmbr\n",
        ("m=audio 20000 RTP/AVP 96 101",),
        ("opus", 96, 20),
    ),
    Case(
        "a line that is off and without any format, several ports in another",
        head("- 1 1") + "m=audio 4000/2 RTP/AVP 9 102 0 8 127\na=rtpmap:9 G722/8000\na=rtpmap:102 G7221/32000\n"
        "a=fmtp:102 bitrate=48000\na=rtpmap:127 telephone-event/8000\na=sendrecv\nm=video 0 RTP/AVP\n",
        ("m=audio 20000 RTP/AVP 9 127", "m=video 0 RTP/AVP 0"),
        ("G722", 9, 20),
        127,
    ),
]


def answer_to(offer: str) -> Negotiated:
    return make_answer(offer.replace("\n", "\r\n").encode(), OURS)


@pytest.mark.parametrize("case", [case for case in CASES if case.answer], ids=lambda case: case.name)
def test_what_can_be_talked_is_agreed(case: Case) -> None:
    sdp, media = answer_to(case.offer)
    assert tuple(line for line in sdp.decode().splitlines() if line.startswith("m=")) == case.answer
    assert (media.codec.name, media.codec.payload_type, media.codec.ptime) == case.codec
    assert (media.telephone_event.payload_type if media.telephone_event else None) == case.event
    assert media.direction == case.direction
    assert (media.address, media.rtp_port) == case.rtp
    assert media.rtcp_port == case.rtcp


@pytest.mark.parametrize("case", [case for case in CASES if not case.answer], ids=lambda case: case.name)
def test_what_cannot_be_talked_is_not_acceptable(case: Case) -> None:
    with pytest.raises(NotAcceptable):
        answer_to(case.offer)


@pytest.mark.parametrize("case", [case for case in CASES if case.answer], ids=lambda case: case.name)
def test_an_answer_promises_nothing_that_was_not_offered(case: Case) -> None:
    """RFC 3264 §6: as many media, each of the same kind and transport; RFC 8843, RFC 8839, RFC 4568."""
    answered = answer_to(case.offer).sdp.decode()
    kinds = [line.split()[0::2][:2] for line in case.offer.splitlines() if line.startswith("m=")]
    assert [line.split()[0::2][:2] for line in answered.splitlines() if line.startswith("m=")] == kinds
    for word in ("a=group", "a=mid", "a=crypto", "a=ice-", "a=candidate", "a=setup", "a=rtcp-fb", "a=curr"):
        assert word not in answered
    assert ("a=rtcp-mux" in answered) == ("a=rtcp-mux" in case.offer)


def test_linphone_gets_the_opus_it_asks_for() -> None:
    (linphone,) = (case for case in CASES if case.name.startswith("Linphone"))
    asked = parse_opus(answer_to(linphone.offer).media.codec.fmtp)
    assert (asked.maxaveragebitrate, asked.cbr, asked.useinbandfec) == (20_000, True, True)
