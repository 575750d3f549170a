"""Offer and answer (RFC 3264) for one audio stream.

    make_answer(offer, local)  → our answer, and what was agreed     raises SdpError, NotAcceptable (488)
    make_offer(local)          → our offer
    accept_answer(offer, answer) → what was agreed                   raises SdpError, NotAcceptable

All functions are pure. `local.previous`, our last description in the same session, keeps the order of the media and
makes the version in `o=` go up by one when, and only when, something changed (§8).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from dialroom.sdp.builder import build
from dialroom.sdp.codecs import DEFAULT_PREFERENCE, OUR_DYNAMIC, STATIC, Codec, offered_formats, talks
from dialroom.sdp.description import Attribute, Media, Origin, SessionDescription
from dialroom.sdp.errors import NotAcceptable, SdpError
from dialroom.sdp.media import MediaDescription, TelephoneEvent
from dialroom.sdp.opus import OURS
from dialroom.sdp.parser import parse

SENDRECV: Final = "sendrecv"
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_REVERSED: Final = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_PROTOCOLS: Final = ("RTP/AVP", "RTP/AVPF")
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")
MIN_PTIME: Final = 10
MAX_PTIME: Final = 60
_EVENTS: Final = "0-16"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMedia:
    """Our end. `session_id` is any number that stays the same for the call; `ptime` in ms is what we like to receive.

    `preference` names codecs, best first. `direction` is what we want ourselves (hold: `sendonly`).
    """

    address: str
    rtp_port: int
    session_id: int
    rtcp_port: int | None = None
    preference: tuple[str, ...] = DEFAULT_PREFERENCE
    ptime: int = 20
    direction: str = SENDRECV
    rtcp_mux: bool = True
    comfort_noise: bool = True
    previous: bytes | None = None


class Negotiated(NamedTuple):
    """Our answer's bytes, and what it settles."""

    sdp: bytes
    media: MediaDescription


def make_answer(offer: bytes, local: LocalMedia) -> Negotiated:
    """Answer an offer: the first audio stream we can talk is taken, every other medium is refused with port 0 (§6).

    Our preference decides among the codecs offered. Raises SdpError when the offer cannot be read, NotAcceptable when
    nothing in it can be talked.
    """
    remote = parse(offer)
    chosen: MediaDescription | None = None
    sections: list[Media] = []
    for media in remote.media:
        agreed = _agree(remote, media, local) if chosen is None else None
        if agreed is None:
            sections.append(Media(media.kind, 0, media.protocol, media.formats[:1] or ("0",)))
        else:
            chosen = agreed
            sections.append(_answer_section(media, agreed, local))
    if chosen is None:
        raise NotAcceptable(f"the offer has no audio stream we can talk, but {_named(remote) or 'nothing'}")
    return Negotiated(_finish(sections, local), chosen)


def _named(remote: SessionDescription) -> str:
    """What was offered, for whoever asks why the call failed: ``audio RTP/AVP G729``."""
    streams = []
    for media in remote.media[:4]:
        codecs = "/".join(dict.fromkeys(item.name for item in offered_formats(media)[:8] if item.name))
        streams.append(f"{media.kind} {media.protocol} {codecs}{' with port 0' if media.port == 0 else ''}")
    return "".join(letter for letter in "; ".join(streams) if letter.isprintable())[:200]


def make_offer(local: LocalMedia) -> bytes:
    """Offer every codec of `local.preference`, with telephone-event at each of their clock rates.

    In a running session media that were refused earlier keep their place, with port 0 (§8). Raises SdpError when
    `local.previous` cannot be read.
    """
    formats: list[str] = []
    attributes: list[Attribute] = []
    rates: list[int] = []
    for name in local.preference:
        codec = _our_codec(name)
        formats.append(str(codec.payload_type))
        attributes += _format_lines(codec)
        if codec.clock_rate not in rates:
            rates.append(codec.clock_rate)
    if local.comfort_noise and 8000 in rates:
        formats.append("13")
        attributes.append(Attribute("rtpmap", "13 CN/8000"))
    for rate in rates:
        event = TelephoneEvent(OUR_DYNAMIC[f"telephone-event/{rate}"], rate)
        formats.append(str(event.payload_type))
        attributes += _event_lines(event)
    attributes += _common_lines(local, local.ptime, local.direction, mux=local.rtcp_mux)
    ours = Media("audio", local.rtp_port, "RTP/AVP", tuple(formats), None, tuple(attributes))
    sections = [ours]
    if local.previous is not None:
        earlier = parse(local.previous).media
        place = next((index for index, media in enumerate(earlier) if media.kind == "audio" and media.port), 0)
        sections = [replace(media, port=0, attributes=(), address=None) for media in earlier] or [ours]
        sections[place] = ours
    return _finish(sections, local)


def accept_answer(offer: bytes, answer: bytes) -> MediaDescription:
    """What `answer` settles of our own `offer`. Raises SdpError; NotAcceptable when it refuses our audio stream."""
    ours, theirs = parse(offer), parse(answer)
    if len(theirs.media) < len(ours.media):
        raise SdpError("the answer has fewer media than our offer")
    for mine, media in zip(ours.media, theirs.media, strict=False):
        if mine.kind != "audio" or mine.port == 0 or media.port == 0 or media.kind != "audio" or _group(theirs, media):
            continue
        known = {codec.payload_type for codec in offered_formats(mine)}
        codec = next((item for item in offered_formats(media) if talks(item) and item.payload_type in known), None)
        if codec is None:
            # §6.1 wants our payload types kept; a peer that renumbers them says by rtpmap what it means.
            codec = next((item for item in offered_formats(media) if talks(item)), None)
        if codec is None:
            continue
        wanted = _direction(ours, mine)
        mux = mine.attribute("rtcp-mux") is not None
        return _describe(theirs, media, codec, direction=_meet(_REVERSED[_direction(theirs, media)], wanted), mux=mux)
    raise NotAcceptable("the answer takes none of our audio")


def _agree(remote: SessionDescription, media: Media, local: LocalMedia) -> MediaDescription | None:
    """What we make of one offered medium, or None if we have to refuse it."""
    if media.kind != "audio" or media.port == 0 or media.protocol.upper() not in _PROTOCOLS or _group(remote, media):
        return None
    candidates = [codec for codec in offered_formats(media) if talks(codec) and codec.name in local.preference]
    if not candidates:
        return None
    codec = min(candidates, key=lambda item: local.preference.index(item.name))
    direction = _meet(_REVERSED[_direction(remote, media)], local.direction)
    return _describe(remote, media, codec, direction=direction, mux=local.rtcp_mux)


def _group(description: SessionDescription, media: Media) -> bool:
    """Whether the stream is for a multicast group or everybody: nobody may have us flood a network."""
    try:
        address = ipaddress.ip_address(media.address or description.address or "")
    except ValueError:
        return False
    return address.is_multicast or address == _BROADCAST


def _describe(remote: SessionDescription, media: Media, codec: Codec, *, direction: str, mux: bool) -> MediaDescription:
    address = media.address or remote.address
    if address is None:
        raise SdpError("the audio stream has no c= line")
    formats = offered_formats(media)
    events = [item for item in formats if item.name == "telephone-event"]
    event = next((item for item in events if item.clock_rate == codec.clock_rate), None)
    if event is None and codec.name == "opus":
        # Phones that offer Opus often leave telephone-event at 8000 Hz; their event timestamps follow that clock.
        event = next((item for item in events if item.clock_rate == 8000), None)
    noise = next((item for item in formats if item.name == "CN" and item.clock_rate == codec.clock_rate), None)
    muxed = mux and media.attribute("rtcp-mux") is not None
    return MediaDescription(
        address=address,
        rtp_port=media.port,
        rtcp_port=media.port if muxed else _rtcp_port(media),
        rtcp_mux=muxed,
        codec=Codec(codec.name, codec.payload_type, codec.clock_rate, codec.channels, _ptime(media), codec.fmtp),
        telephone_event=None if event is None else TelephoneEvent(event.payload_type, event.clock_rate),
        comfort_noise_payload_type=None if noise is None else noise.payload_type,
        direction=direction,
    )


def _direction(description: SessionDescription, media: Media) -> str:
    """The describer's direction; `c=0.0.0.0` is hold as RFC 2543 spelt it (RFC 3264 §8.4)."""
    stated = next((name for name in _DIRECTIONS if media.attribute(name) is not None), None)
    if stated is None:
        stated = next((name for name in _DIRECTIONS if description.attribute(name) is not None), SENDRECV)
    if _unspecified(media.address or description.address):
        # Nothing can be sent to it: whatever it says, it does not listen.
        return {"sendrecv": "sendonly", "recvonly": "inactive"}.get(stated, stated)
    return stated


def _unspecified(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _meet(possible: str, wanted: str) -> str:
    """The most that both allow, as seen from our side."""
    sends = possible in ("sendrecv", "sendonly") and wanted in ("sendrecv", "sendonly")
    receives = possible in ("sendrecv", "recvonly") and wanted in ("sendrecv", "recvonly")
    return {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}.get(
        (sends, receives), "inactive"
    )


def _ptime(media: Media) -> int:
    """Packet time in ms: what the peer wants, within its `maxptime` and what we can do."""
    wanted = _milliseconds(media.attribute("ptime")) or 20
    longest = _milliseconds(media.attribute("maxptime"))
    if longest is not None:
        wanted = min(wanted, longest)
    return max(MIN_PTIME, min(MAX_PTIME, wanted // 10 * 10))


def _milliseconds(text: str | None) -> int | None:
    whole = (text or "").strip().partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) <= 5 and int(whole) else None


def _rtcp_port(media: Media) -> int:
    """`a=rtcp:` (RFC 3605), else the next port."""
    text = (media.attribute("rtcp") or "").split(" ")[0]
    if text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536:
        return int(text)
    return min(media.port + 1, 65_535)


def _answer_section(media: Media, agreed: MediaDescription, local: LocalMedia) -> Media:
    codec = _with_our_fmtp(agreed.codec)
    formats = [str(codec.payload_type)]
    attributes = _format_lines(codec)
    if agreed.comfort_noise_payload_type is not None and local.comfort_noise:
        formats.append(str(agreed.comfort_noise_payload_type))
        attributes.append(Attribute("rtpmap", f"{agreed.comfort_noise_payload_type} CN/{codec.clock_rate}"))
    if agreed.telephone_event is not None:
        formats.append(str(agreed.telephone_event.payload_type))
        attributes += _event_lines(agreed.telephone_event)
    attributes += _common_lines(local, codec.ptime, agreed.direction, mux=agreed.rtcp_mux)
    return Media("audio", local.rtp_port, media.protocol, tuple(formats), None, tuple(attributes))


def _with_our_fmtp(codec: Codec) -> Codec:
    """The codec with our own format parameters: fmtp says what its sender wants to receive (RFC 7587 §6.1)."""
    fmtp = OURS if codec.name == "opus" else ""
    return Codec(codec.name, codec.payload_type, codec.clock_rate, codec.channels, codec.ptime, fmtp)


def _our_codec(name: str) -> Codec:
    if name == "opus":
        return Codec("opus", OUR_DYNAMIC["opus"], 48_000, 2, fmtp=OURS)
    number = next(key for key, known in STATIC.items() if known[0] == name)
    return Codec(name, number, 8000)


def _format_lines(codec: Codec) -> list[Attribute]:
    channels = "/2" if codec.name == "opus" else ""
    lines = [Attribute("rtpmap", f"{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}")]
    if codec.fmtp:
        lines.append(Attribute("fmtp", f"{codec.payload_type} {codec.fmtp}"))
    return lines


def _event_lines(event: TelephoneEvent) -> list[Attribute]:
    return [
        Attribute("rtpmap", f"{event.payload_type} telephone-event/{event.clock_rate}"),
        Attribute("fmtp", f"{event.payload_type} {_EVENTS}"),
    ]


def _common_lines(local: LocalMedia, ptime: int, direction: str, *, mux: bool) -> list[Attribute]:
    lines = [Attribute("ptime", str(ptime)), Attribute("maxptime", str(MAX_PTIME)), Attribute(direction)]
    if mux:
        lines.append(Attribute("rtcp-mux"))
    if local.rtcp_port is not None and local.rtcp_port != local.rtp_port + 1:
        lines.append(Attribute("rtcp", str(local.rtcp_port)))
    return lines


def _finish(sections: list[Media], local: LocalMedia) -> bytes:
    """The whole description, with the version `o=` must have after `local.previous`."""
    origin = Origin("dialroom", local.session_id, 1, local.address)
    description = SessionDescription(origin, tuple(sections), local.address)
    if local.previous is None:
        return build(description)
    version = parse(local.previous).origin.version
    same = build(replace(description, origin=replace(origin, version=version)))
    if same == local.previous:
        return same
    return build(replace(description, origin=replace(origin, version=version + 1)))
