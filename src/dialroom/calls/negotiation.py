"""Our side of offer and answer (RFC 3264) over the life of a call, and what it settles for the media plane."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TypedDict, TypeVar, cast

import msgspec

from dialroom.media.protocol import Codec, CodecName, Direction, LegMedia, OpusParameters, TelephoneEvent
from dialroom.routing.gateways import parse_address
from dialroom.sdp.codecs import DEFAULT_PREFERENCE
from dialroom.sdp.errors import SdpError
from dialroom.sdp.media import MediaDescription, changes
from dialroom.sdp.offer_answer import LocalMedia, accept_answer, make_answer, make_offer
from dialroom.sdp.opus import parse_opus

T = TypeVar("T")


class NoCommonMediaError(Exception):
    """The two sides cannot talk to each other; the text says why."""


class SideState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a `MediaSide` knows. ``local`` is our last description, ``offered`` whether it still waits for its
    answer; ``agreed`` what holds now."""

    address: str
    rtp_port: int
    session_id: int
    preference: tuple[str, ...]
    local: bytes | None = None
    offered: bool = False
    agreed: MediaDescription | None = None


class Hints(TypedDict, total=False):
    """What `MediaPlane.open_leg` likes to know beforehand."""

    remote_address: str
    remote_rtp_port: int
    signalling_address: str


class MediaSide:
    """One call's session description, from our end. ``address`` is ours as the peer reaches it; ``peer``, the host that
    the signalling comes from, stands in for a peer that names its own address by a host name."""

    def __init__(self, address: str, *, peer: str = "", codecs: Sequence[str] = ()) -> None:
        self._peer = peer.partition("%")[0]  # the zone of a link-local address is nobody else's business
        self.state = SideState(
            address=address,
            rtp_port=0,
            session_id=secrets.randbelow(2**31),
            preference=tuple(codecs) or DEFAULT_PREFERENCE,
        )

    @classmethod
    def restored(cls, state: SideState, *, peer: str = "") -> MediaSide:
        """The side an earlier process had."""
        side = cls(state.address, peer=peer)
        side.state = state
        return side

    @property
    def media(self) -> LegMedia | None:
        """What the media plane is to do; None before anything is agreed."""
        agreed = self.state.agreed
        return None if agreed is None else _leg_media(agreed, self._reachable(agreed.address))

    @property
    def codec(self) -> str:
        """The codec's RTP name; empty before one is agreed."""
        return self.state.agreed.codec.name if self.state.agreed else ""

    def hints(self, offer: bytes | None) -> Hints:
        """Where the peer may send from. Raises `NoCommonMediaError` for an offer we cannot take."""
        hints: Hints = {"signalling_address": self._peer} if parse_address(self._peer) is not None else {}
        if offer is not None:
            agreed = _refused_if_impossible(lambda: make_answer(offer, self._local()).media)
            hints["remote_address"] = self._reachable(agreed.address)
            hints["remote_rtp_port"] = agreed.rtp_port
        return hints

    def opened(self, address: str, rtp_port: int) -> None:
        """The media plane has opened the leg's port; ``address`` is used if we know of none for this peer."""
        self._change(address=self.state.address or address, rtp_port=rtp_port)

    def answer(self, offer: bytes) -> bytes:
        """Our answer. Raises `NoCommonMediaError`; what was agreed before then still holds."""
        negotiated = _refused_if_impossible(lambda: make_answer(offer, self._local()))
        self._check_family(negotiated.media)
        self._change(local=negotiated.sdp, offered=False, agreed=negotiated.media)
        return negotiated.sdp

    def offer(self) -> bytes:
        """Our offer; its answer goes to `answered`."""
        offer = make_offer(self._local())
        self._change(local=offer, offered=True)
        return offer

    def answered(self, answer: bytes) -> None:
        """The peer's answer to our last offer. Raises `NoCommonMediaError`."""
        offer = self.state.local
        if offer is None or not self.state.offered:
            return
        self._change(offered=False)
        agreed = _refused_if_impossible(lambda: accept_answer(offer, answer))
        self._check_family(agreed)
        self._change(agreed=agreed)

    def difference(self, before: MediaDescription | None) -> str:
        """What has changed since, in words; empty if nothing."""
        now = self.state.agreed
        if now is None:
            return ""
        if before is None:
            return f"codec {now.codec.name}, {now.codec.ptime} ms"
        changed = changes(before, now)
        words = {
            "put on hold": changed.held,
            "taken off hold": changed.resumed,
            f"media to {now.address}:{now.rtp_port}": changed.address,
            f"codec {now.codec.name}, {now.codec.ptime} ms": changed.codec,
            f"direction {now.direction}": changed.direction and not (changed.held or changed.resumed),
        }
        return ", ".join(word for word, holds in words.items() if holds)

    def _check_family(self, agreed: MediaDescription) -> None:
        """Media by IPv6 alone reaches no IPv4 address, nor ours it: the call would be answered and stay silent."""
        ours, theirs = parse_address(self.state.address), parse_address(self._reachable(agreed.address))
        if ours is None or theirs is None or theirs.is_unspecified:
            return
        if (ours.version, theirs.version) == (4, 6):
            raise NoCommonMediaError("its media has an IPv6 address only, and ours an IPv4 address only")

    def _local(self) -> LocalMedia:
        state = self.state
        return LocalMedia(
            address=state.address,
            rtp_port=state.rtp_port,
            session_id=state.session_id,
            preference=state.preference,
            previous=state.local,
        )

    def _change(self, **changed: object) -> None:
        self.state = msgspec.structs.replace(self.state, **changed)

    def _reachable(self, address: str) -> str:
        said, seen = parse_address(address), parse_address(self._peer)
        if said is None:
            return self._peer or address
        if seen is not None and (said.is_unspecified or (said.is_loopback and not seen.is_loopback)):
            # Hold as RFC 2543 spelt it, or a phone that means itself: from here it would be us.
            return self._peer
        return address


def _refused_if_impossible(work: Callable[[], T]) -> T:
    try:
        return work()
    except SdpError as error:
        raise NoCommonMediaError(error.reason) from error


def _leg_media(agreed: MediaDescription, address: str) -> LegMedia:
    """A phone that only sends is on hold, and what it sends then is its hold music: not for the room."""
    event = agreed.telephone_event
    asked = msgspec.structs.asdict(parse_opus(agreed.codec.fmtp)) if agreed.codec.name == "opus" else None
    return LegMedia(
        remote_address=address,
        remote_rtp_port=agreed.rtp_port,
        remote_rtcp_port=agreed.rtcp_port,
        rtcp_mux=agreed.rtcp_mux,
        codec=Codec(
            name=cast(CodecName, agreed.codec.name),
            payload_type=agreed.codec.payload_type,
            ptime=agreed.codec.ptime,
            opus=OpusParameters(**asked) if asked else None,
        ),
        telephone_event=TelephoneEvent(payload_type=event.payload_type, clock_rate=event.clock_rate) if event else None,
        comfort_noise_payload_type=agreed.comfort_noise_payload_type,
        direction="inactive" if agreed.held else cast(Direction, agreed.direction),
    )
