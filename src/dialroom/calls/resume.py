"""What another process needs to go on with a call, as bytes in the store."""

from __future__ import annotations

import msgspec

from dialroom.calls.negotiation import SideState
from dialroom.flows.stages import Stage
from dialroom.sip.session.state import SessionState


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """A running call. ``instance`` and ``last_event`` say up to where its digits were acted upon; ``side`` is our
    side of offer and answer; ``straight_into`` the room its number leads into without a code."""

    sip: SessionState
    stage: Stage
    straight_into: str | None = None
    instance: str | None = None
    last_event: int = 0
    side: SideState


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Resume)


def encode_resume(resume: Resume) -> bytes:
    """For `CallStore.save`."""
    return _encoder.encode(resume)


def decode_resume(data: bytes) -> Resume | None:
    """None when a later or earlier version wrote it differently: such a call cannot be gone on with."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
