"""From a byte stream to whole messages (RFC 3261 §18.3, RFC 5626 §4.4.1).

A stream has no datagram borders: where a message ends is known by Content-Length alone. A stream whose framing is in
doubt is closed, never searched for the next message: the search would start inside a body somebody else wrote.
"""

from __future__ import annotations

import re

from dialroom.sip.errors import SipError
from dialroom.sip.limits import MAX_MESSAGE

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*(?:\r\n[ \t]+)?([^\r\n]*)", re.IGNORECASE)
_NUMBER = re.compile(rb"[0-9]{1,10}")


class StreamFramer:
    """Cuts a stream into messages. After a SipError the stream is dead; every further call raises it again."""

    __slots__ = ("_buffer", "_dead", "_need", "_scanned")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = 0
        self._scanned = 0
        self._dead: SipError | None = None

    def receive(self, data: bytes) -> tuple[list[bytes], int]:
        """Take bytes; return the messages they complete, and how many keep-alive pings (CRLF CRLF) want a pong.

        Raises SipError when the stream cannot be framed; messages completed before the fault were returned earlier or
        are lost with the stream.
        """
        if self._dead is not None:
            raise self._dead
        self._buffer += data
        messages: list[bytes] = []
        pings = 0
        try:
            while True:
                pings += self._skip_blank()
                message = self._next()
                if message is None:
                    return messages, pings
                messages.append(message)
        except SipError as error:
            self._dead = error
            self._buffer.clear()
            if messages:
                return messages, pings
            raise

    @property
    def dead(self) -> SipError | None:
        """Why the stream cannot go on, or None."""
        return self._dead

    @property
    def partial(self) -> bool:
        """Whether a message has begun and is not complete."""
        return bool(self._need or self._scanned)

    def _skip_blank(self) -> int:
        """Drop CRLFs between messages; every pair of them is a ping."""
        if self._need or self._scanned:
            return 0
        buffer = self._buffer
        pings = 0
        while buffer[:2] == b"\r\n":
            if buffer[:4] == b"\r\n\r\n":
                pings += 1
                del buffer[:4]
            elif len(buffer) >= 4 or (len(buffer) == 3 and buffer[2:3] != b"\r"):
                del buffer[:2]
            else:
                break
        return pings

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if not self._need:
            if b"\r\n\r".startswith(buffer):
                return None
            end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
            if end < 0:
                self._scanned = len(buffer)
                if len(buffer) > MAX_MESSAGE:
                    raise SipError("a header without end on a stream", status=513)
                return None
            self._need = end + 4 + _content_length(bytes(buffer[: end + 2]))
            if self._need > MAX_MESSAGE:
                raise SipError("a message on a stream is too large", status=513)
        if len(buffer) < self._need:
            return None
        message = bytes(buffer[: self._need])
        del buffer[: self._need]
        self._need = self._scanned = 0
        return message


def _content_length(head: bytes) -> int:
    """The one Content-Length of a header. Raises SipError: on a stream it is mandatory (RFC 3261 §20.14)."""
    found = _LENGTH.findall(head)
    if len(found) != 1:
        raise SipError("a message on a stream needs exactly one Content-Length")
    text = found[0].strip()
    if not _NUMBER.fullmatch(text):
        raise SipError("Content-Length is not a number")
    return int(text)
