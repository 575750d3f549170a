"""What offer and answer agreed on: all the media plane needs to know of the far end."""

from __future__ import annotations

import msgspec

from dialroom.sdp.codecs import Codec


class TelephoneEvent(msgspec.Struct, frozen=True):
    """Digits as RTP events (RFC 4733), at the clock rate (Hz) of the codec they go with."""

    payload_type: int
    clock_rate: int


class MediaDescription(msgspec.Struct, frozen=True):
    """One agreed audio stream. `address`, `rtp_port` and `rtcp_port` are where we send to.

    `direction` is ours: `sendonly` means we send and the peer listens. A peer on hold listens to us or to nothing, so
    `recvonly` (it plays its own hold music to us) and `inactive` are both its hold. `ptime` of the codec is what the
    peer wants to receive, in ms. With `rtcp_mux` both ports are the same.
    """

    address: str
    rtp_port: int
    rtcp_port: int
    rtcp_mux: bool
    codec: Codec
    telephone_event: TelephoneEvent | None
    comfort_noise_payload_type: int | None
    direction: str

    @property
    def sends(self) -> bool:
        """Whether we may send to the peer."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receives(self) -> bool:
        """Whether the peer may send to us."""
        return self.direction in ("sendrecv", "recvonly")

    @property
    def held(self) -> bool:
        """Whether the peer has put us on hold: it does not want to hear us."""
        return not self.sends


class Changes(msgspec.Struct, frozen=True):
    """What a new agreement changed."""

    held: bool = False
    resumed: bool = False
    address: bool = False
    """Address or port the peer listens at."""
    codec: bool = False
    """Codec, payload type, packet time or telephone-event."""
    direction: bool = False

    def __bool__(self) -> bool:
        return self.held or self.resumed or self.address or self.codec or self.direction


def changes(old: MediaDescription, new: MediaDescription) -> Changes:
    """How `new` differs from `old`."""
    return Changes(
        held=new.held and not old.held,
        resumed=old.held and not new.held,
        address=(old.address, old.rtp_port, old.rtcp_port) != (new.address, new.rtp_port, new.rtcp_port),
        codec=(old.codec, old.telephone_event, old.comfort_noise_payload_type)
        != (new.codec, new.telephone_event, new.comfort_noise_payload_type),
        direction=old.direction != new.direction,
    )
