"""Keys by RFC 4733 over a network that loses some of their packets."""

from __future__ import annotations

import pytest

from .support.rtp import RtpPhone
from .support.server import DialroomServer, steps
from .support.sipp import Scenario, sdp

LOST = {
    "nothing": (),
    "the beginning": (0, 1),
    "every other packet": (0, 2, 4, 6),
    "all but the last packet": (0, 1, 2, 3, 4, 5, 6),
    "the end": (5, 6, 7),
    "all but the first packet": (1, 2, 3, 4, 5, 6, 7),
}
"""Which of the eight packets of each key do not arrive."""


@pytest.mark.parametrize("what", LOST)
def test_each_key_counts_once_whatever_of_it_is_lost(server: DialroomServer, what: str) -> None:
    room = server.room("Twins", code=f"44112255{list(LOST).index(what)}")
    with RtpPhone() as phone:
        scenario = Scenario().invite(sdp(phone.port)).answered().expect_request("BYE").ok()
        with scenario.running(server.sip_port):
            phone.press(room.code, lost=LOST[what])
            person = server.participant(room, "phone")
            server.api("DELETE", f"/participants/{person['id']}")
    assert "code_wrong" not in steps(server.ended_call())
