from __future__ import annotations

from typing import Any, cast

import pytest

from dialroom.api.room_socket.hub import ORPHAN_MARGIN, RoomSockets
from dialroom.media.fake import FakeMediaPlane
from dialroom.media.protocol import ClosePeer, PeerState
from tests.support.clock import ManualClock


@pytest.mark.parametrize("resume_grace", [5, 300])
async def test_a_browser_of_an_earlier_process_keeps_its_media_as_long_as_it_may_resume(resume_grace: float) -> None:
    media, clock, nobody = FakeMediaPlane(), ManualClock(), cast(Any, None)
    sockets = RoomSockets(
        rooms=nobody,
        meetings=nobody,
        media=media,
        tokens=nobody,
        clock=clock,
        numbers=nobody,
        base_url="",
        ice_servers=lambda participant: (),
        per_organisation=10,
        resume_grace=resume_grace,
    )
    sockets.adopt([PeerState(peer="peer_one", tag="part_one", connected=True)])
    await clock.advance(resume_grace)
    assert media.sent(ClosePeer) == []
    await clock.advance(ORPHAN_MARGIN)
    assert [command.peer for command in media.sent(ClosePeer)] == ["peer_one"]
