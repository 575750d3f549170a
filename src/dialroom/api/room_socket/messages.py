"""What crosses the room socket, as ``docs/reference/room-socket.md`` has it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dialroom.core.clock import isoformat
from dialroom.core.errors import Invalid
from dialroom.core.numbers import mask_number
from dialroom.media.protocol import Publication, Slot
from dialroom.rooms.values import Participant

MAX_MESSAGE_BYTES = 256 * 1024
MAX_SLOTS = 64


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A request of the client; ``id`` comes back in the answer."""

    id: int


class Join(Request, frozen=True, kw_only=True, tag="join"):
    token: str
    name: str | None = None


class Resume(Request, frozen=True, kw_only=True, tag="resume"):
    resume_token: str


class Offer(Request, frozen=True, kw_only=True, tag="offer"):
    sdp: str
    publish: list[Publication]
    audio_slots: list[str]
    video_slots: list[str]
    restart: bool = False


class SubscribeSlots(Request, frozen=True, kw_only=True, tag="subscribe"):
    slots: list[Slot]


class Publish(Request, frozen=True, kw_only=True, tag="publish"):
    microphone: bool = False
    camera: bool = False
    screen: bool = False


class Rename(Request, frozen=True, kw_only=True, tag="rename"):
    name: str


class Hand(Request, frozen=True, kw_only=True, tag="hand"):
    raised: bool


class Moderate(Request, frozen=True, kw_only=True, tag="moderate"):
    action: Literal["mute", "unmute", "remove", "lower_hand", "lock", "unlock", "mute_all", "end"]
    participant: str | None = None


class Leave(Request, frozen=True, kw_only=True, tag="leave"):
    pass


class Ping(Request, frozen=True, kw_only=True, tag="ping"):
    pass


AnyRequest = Join | Resume | Offer | SubscribeSlots | Publish | Rename | Hand | Moderate | Leave | Ping

_decoder = msgspec.json.Decoder(AnyRequest)
_encoder = msgspec.json.Encoder()
_id_only = msgspec.json.Decoder(type=dict[str, Any])


def parse(text: str) -> AnyRequest:
    """A request. Raises Invalid for anything else."""
    try:
        request: AnyRequest = _decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise Invalid(f"The message is not one of ours: {error}.", "See docs/reference/room-socket.md.") from None
    too_many = isinstance(request, Offer) and (
        len(request.publish) > MAX_SLOTS or len(request.audio_slots) + len(request.video_slots) > MAX_SLOTS
    )
    if too_many or (isinstance(request, SubscribeSlots) and len(request.slots) > MAX_SLOTS):
        raise Invalid(f"There are more than {MAX_SLOTS} slots.", "Ask for fewer.")
    return request


def id_of(text: str) -> int | None:
    """The id of a message that could not be parsed, so that it can be answered."""
    try:
        value = _id_only.decode(text).get("id")
    except msgspec.MsgspecError:
        return None
    return value if isinstance(value, int) else None


def encode(message: dict[str, Any]) -> str:
    """A message as it goes out."""
    return _encoder.encode(message).decode()


def participant_seen(participant: Participant) -> dict[str, Any]:
    """A participant as others in the room see it: the phone number is masked."""
    number = participant.phone_number
    return {
        "id": participant.id,
        "identity": participant.identity,
        "name": participant.name,
        "kind": participant.kind,
        "role": participant.role,
        "muted": participant.muted,
        "hand_raised": participant.hand_raised,
        "tracks": {
            "microphone": participant.tracks.microphone,
            "camera": participant.tracks.camera,
            "screen": participant.tracks.screen,
        },
        "phone_number": None if number is None else mask_number(number),
        "connected": participant.connected,
        "joined_at": isoformat(participant.joined_at),
    }
