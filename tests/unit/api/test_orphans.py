"""Media connections of browsers that a new process finds in the media plane."""

from __future__ import annotations

from dialroom.media.protocol import ClosePeer, PeerState
from tests.unit.api.conftest import House


async def test_media_that_nobody_in_a_meeting_can_resume_is_ended(house: House) -> None:
    house.sockets.adopt([PeerState(peer="peer_one", tag="part_who_left", connected=True)])
    closed = await house.media.wait_for(ClosePeer)
    assert closed.peer == "peer_one"
