"""Frames of the media link: a 32-bit big-endian length, then that many bytes of MessagePack."""

from __future__ import annotations

import struct

import msgspec

from dialroom.media.protocol import MAX_FRAME_BYTES, FromMedia, Request

_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_from_media: msgspec.msgpack.Decoder[FromMedia] = msgspec.msgpack.Decoder(FromMedia)


class FrameError(Exception):
    """The other end of the link does not speak this protocol."""


def encode_request(request: Request) -> bytes:
    """One frame with a request. Raises `FrameError` when it is too long."""
    return frame(_encoder.encode(request))


def decode_from_media(body: bytes) -> FromMedia:
    """A reply or a notice from a frame's body. Raises `FrameError`."""
    try:
        return _from_media.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FrameError(f"The media process sent a frame that cannot be read: {error}") from error


def frame(body: bytes) -> bytes:
    """``body`` with its length before it. Raises `FrameError` when it is too long."""
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"A frame of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES} bytes")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frame bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies completed by ``data``. Raises `FrameError` when a length is over the limit."""
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"A frame of {length} bytes was announced; the limit is {MAX_FRAME_BYTES} bytes")
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return bodies
