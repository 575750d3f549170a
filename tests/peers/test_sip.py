"""SIP as peers may speak it: SIPp says each thing exactly so, and the server has to answer as the RFCs want."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from .support.datagrams import Datagrams, header, status_of
from .support.server import DialroomServer, Room, steps
from .support.sipp import Scenario, sdp
from .support.waiting import wait_until


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_over_each_transport(server: DialroomServer, transport: str) -> None:
    Scenario().invite(sdp()).answered().pause(200).bye().run(server.sip_port, transport=transport)
    record = server.ended_call()
    assert record["ending"]["reason"] == "caller_hung_up"
    assert record["source"].startswith(f"{transport}:")


def test_hold_and_resume_by_reinvite(server: DialroomServer) -> None:
    scenario = Scenario().invite(sdp()).answered()
    scenario.reinvite(sdp(direction="sendonly", version=2)).answered().pause(200)
    scenario.reinvite(sdp(direction="sendrecv", version=3)).answered().pause(200).bye()
    scenario.run(server.sip_port)
    assert steps(server.ended_call()).count("media_changed") == 2


def test_media_follow_a_port_changed_by_reinvite(server: DialroomServer) -> None:
    with listening() as first, listening() as second:
        scenario = Scenario().invite(sdp(first.getsockname()[1])).answered().stand()
        scenario.reinvite(sdp(second.getsockname()[1], version=2)).answered().stand().bye()
        with scenario.running(server.sip_port) as call:
            assert first.recv(2048)[0] >> 6 == 2, "RTP is version 2"
            call.go_on()
            assert second.recv(2048)[0] >> 6 == 2, "RTP is version 2"
            call.go_on()


def test_an_invite_without_offer_gets_ours_and_the_answer_in_the_ack(server: DialroomServer) -> None:
    with listening() as listener:
        scenario = Scenario().invite(None).answered(sdp(listener.getsockname()[1])).stand().bye()
        with scenario.running(server.sip_port) as call:
            assert len(listener.recv(2048)) == 172, "20 ms of PCMU behind an RTP header"
            call.go_on()
    assert server.ended_call()["codec"] == "PCMU"


def test_opus_is_sent_as_the_phone_asks_for_it(server: DialroomServer) -> None:
    with listening() as listener:
        offer = sdp(listener.getsockname()[1]).replace("RTP/AVP 0 ", "RTP/AVP 111 ")
        asked = "a=rtpmap:111 opus/48000/2\na=fmtp:111 maxaveragebitrate=12000;cbr=1"
        scenario = Scenario().invite(offer.replace("a=rtpmap:0 PCMU/8000", asked)).answered().stand().bye()
        with scenario.running(server.sip_port) as call:
            lengths = {len(listener.recv(2048)) for _ in range(50)}
            assert lengths == {12 + 30}, "12,000 bits a second are 30 bytes in 20 ms"
            call.go_on()
    assert server.ended_call()["codec"] == "opus"


def test_a_peer_that_requires_100rel_is_served(server: DialroomServer) -> None:
    Scenario().invite(sdp(), {"Require": "100rel"}).answered().pause(200).bye().run(server.sip_port)
    assert server.ended_call()["ending"]["result"] == "completed"


def test_a_call_cancelled_before_the_answer(server: DialroomServer) -> None:
    # Both wait in the socket while the server stands still, so that the CANCEL cannot come too late.
    scenario = Scenario().invite(sdp()).cancel().expect(100, optional=True).expect(200).expect(487).ack_refusal()
    with server.standing_still() as go_on, scenario.running(server.sip_port):
        wait_until(lambda: waiting_bytes(server.sip_port) > 1000, 10, lambda: "nothing waits in the server's socket")
        go_on()
    ending = server.ended_call()["ending"]
    assert (ending["result"], ending["sip_code"], ending["by"]) == ("cancelled", 487, "caller")


def test_an_invite_that_comes_twice_is_one_call(server: DialroomServer) -> None:
    before = len(server.api("GET", "/calls?limit=200")["items"])
    scenario = Scenario().invite(sdp()).invite(sdp(), again=True).answered().pause(300).bye()
    with server.standing_still() as go_on, scenario.running(server.sip_port):
        wait_until(lambda: waiting_bytes(server.sip_port) > 1000, 10, lambda: "nothing waits in the server's socket")
        go_on()
    server.ended_call()
    assert len(server.api("GET", "/calls?limit=200")["items"]) == before + 1


def test_an_answer_comes_again_until_its_ack_is_there(server: DialroomServer) -> None:
    with Datagrams(server.sip_port) as phone:
        phone.invite("acknowledged", sdp())
        answer, *again = [phone.receive_final() for _ in range(3)]
        assert again == [answer, answer]
        phone.ack(answer)
        # A call whose ACK is missing tells the time: its fourth answer comes 3.5 s after its first, which comes after
        # the ACK was read; without that ACK the other call's fourth would come within 2 s.
        phone.invite("unacknowledged", sdp())
        while header(other := phone.receive_final(), "Call-ID") == "acknowledged":
            pass
        assert [phone.receive_final() for _ in range(3)] == [other] * 3
        phone.bye(answer)
        phone.bye(other)
    assert server.ended_call()["ending"]["reason"] == "caller_hung_up"


def test_a_call_whose_ack_is_lost_can_be_hung_up_by_the_caller(server: DialroomServer) -> None:
    Scenario().invite(sdp()).expect(100, optional=True).expect(200).pause(200).bye().run(server.sip_port)
    assert server.ended_call()["ending"]["by"] == "caller"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Max-Forwards": "0"}, 483),
        ({"Require": "nothing-we-know"}, 420),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_an_invite_that_cannot_be_served_is_answered_with_its_status(
    server: DialroomServer, headers: dict[str, str], status: int
) -> None:
    Scenario().invite(sdp(), headers).refused(status).run(server.sip_port)
    assert health(server)


def test_an_offer_without_a_codec_of_ours_is_refused_with_488_and_recorded(server: DialroomServer) -> None:
    offer = sdp().replace("RTP/AVP 0", "RTP/AVP 3").replace("rtpmap:0 PCMU", "rtpmap:3 GSM")
    Scenario().invite(offer).refused(488).run(server.sip_port)
    assert server.ended_call()["ending"]["sip_code"] == 488


WITHOUT_OFFER = """\
INVITE sip:1000@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP LOCAL;branch=z9hG4bK-{name}
Max-Forwards: 70
From: <sip:+15550003333@127.0.0.1>;tag=1
To: <sip:1000@127.0.0.1>
Call-ID: {name}
CSeq: 1 INVITE
Contact: <sip:someone@LOCAL>
Content-Length: 0

"""


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("another-method-in-cseq", "CSeq: 1 INVITE", "CSeq: 1 OPTIONS"),
        ("no-number-in-cseq", "CSeq: 1 INVITE", "CSeq: INVITE"),
        ("no-from-tag", ";tag=1", ""),
        ("body-shorter-than-said", "Content-Length: 0", "Content-Length: 9999"),
        ("no-uri-in-to", "To: <sip:1000@127.0.0.1>", "To: ,,,<<>>"),
    ],
)
def test_a_malformed_invite_is_answered_with_400(server: DialroomServer, name: str, right: str, wrong: str) -> None:
    message = WITHOUT_OFFER.format(name=name)
    assert right in message
    with Datagrams(server.sip_port) as phone:
        phone.send(message.replace(right, wrong, 1))
        assert status_of(phone.receive_final()) == 400
    assert health(server)


def test_an_offer_that_is_no_session_description_is_refused(server: DialroomServer) -> None:
    Scenario().invite("this is no session description\n").refused(488).run(server.sip_port)
    assert health(server)


def test_a_call_hung_up_on_gets_bye(server: DialroomServer, room: Room) -> None:
    scenario = Scenario().invite(sdp()).answered().pause(300)
    for digit in room.code:
        scenario.info(digit)
    with scenario.expect_request("BYE").ok().running(server.sip_port):
        server.participant(room, "phone")
        server.api("POST", f"/rooms/{room.id}/end")
    assert server.ended_call()["ending"]["by"] == "host"


def listening() -> socket.socket:
    """A socket where media may arrive; waits 20 s for them."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(20)
    return listener


def waiting_bytes(port: int) -> int:
    """How much waits to be read in the UDP socket on this port."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()]
    return max((int(row[4].split(":")[1], 16) for row in rows[1:] if int(row[1].split(":")[1], 16) == port), default=0)


def health(server: DialroomServer) -> bool:
    """Whether the server still takes calls."""
    Scenario().invite(sdp()).answered().bye().run(server.sip_port)
    return bool(server.ended_call()["ending"]["result"] == "completed")
