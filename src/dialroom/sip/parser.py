"""Bytes to messages: one whole message in, a Request or Response out, or SipError; nothing else.

`parse` finds the fields; it reads no header beyond what framing needs. `check_request` and `check_response` then
read the headers every message must have (RFC 3261 §8.1.1), in the order in which a bad one should be reported.
Lines end in CRLF and in nothing else: a lone CR or LF is how one element's header becomes another's request.
"""

from __future__ import annotations

import re

from dialroom.sip.errors import SipError
from dialroom.sip.headers.cseq import parse_number
from dialroom.sip.limits import MAX_HEADER_FIELDS, MAX_HEADER_VALUE, MAX_MESSAGE
from dialroom.sip.message import KNOWN_KEYS, Message, Request, Response, header_key
from dialroom.sip.text import has_controls, is_token
from dialroom.sip.uri import SipUri

_FOLD = re.compile(r"(?<![ \t])[ \t]*(?:\r\n[ \t]+)+")
"""One search per run of blanks, however long: without the first part it would be one per blank."""
_VERSION = re.compile(r"SIP/\d+\.\d+", re.IGNORECASE)
_STATUS = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: (.*))?", re.IGNORECASE | re.DOTALL)
_SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type")


def parse(data: bytes) -> Request | Response:
    """The message in `data`, a whole datagram or one frame of a stream.

    Bytes beyond Content-Length are dropped (RFC 3261 §18.3); a body shorter than that is an error. Raises SipError.
    """
    if len(data) > MAX_MESSAGE:
        raise SipError("the message is too large", status=513)
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")
    head, blank, body = data.partition(b"\r\n\r\n")
    text = head.decode("utf-8", "surrogateescape")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    lone = text.count("\r") + text.count("\n") != 2 * (len(lines) - 1)
    if lone:
        # Taken out before anything is read, so that not even the answer 400 can carry them on.
        lines = [line.replace("\r", " ").replace("\n", " ") for line in lines]
    message = _start(lines[0])
    try:
        _read_fields(message, lines)
        if lone:
            raise SipError("a lone CR or LF in the header")
        if not blank:
            raise SipError("the header does not end in an empty line")
        message.body = _body(message, body)
        if isinstance(message, _Unreadable):
            raise SipError(message.why, status=message.answer)
    except SipError as error:
        error.partial = message
        raise
    return message


class _Unreadable(Request):
    """A request whose start line is bad; its headers are still read so that it can be answered."""

    __slots__ = ("answer", "why")

    def __init__(self, why: str, answer: int) -> None:
        super().__init__("", "")
        self.why = why
        self.answer = answer


def _start(line: str) -> Request | Response:
    if line[:4].upper() == "SIP/":
        status = _STATUS.fullmatch(line)
        if status is None:
            raise SipError("the status line is malformed")
        return Response(int(status[1]), status[2] or "")
    # RFC 3261 §7.1: no whitespace but single spaces between the three parts
    parts = line.split(" ")
    if len(parts) != 3 or not is_token(parts[0]) or not parts[1]:
        if not line or "SIP/" not in line.upper():
            raise SipError("this is not SIP")
        return _Unreadable("the request line is malformed", 400)
    method, target, version = parts
    if version.upper() != "SIP/2.0":
        if _VERSION.fullmatch(version):
            return _Unreadable("only SIP/2.0 is spoken here", 505)
        raise SipError("this is not SIP")
    if len(target) > MAX_HEADER_VALUE:
        return _Unreadable("the Request-URI is too long", 414)
    if target[0] == "<" or has_controls(target):
        return _Unreadable("the Request-URI is malformed", 400)
    return Request(method, target)


def _read_fields(message: Message, lines: list[str]) -> None:
    if len(lines) > MAX_HEADER_FIELDS + 1:
        raise SipError("too many header fields", status=513)
    bad = ""
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            bad = bad or "a header line has no colon"
        elif len(value) > MAX_HEADER_VALUE:
            bad = bad or "a header value is too long"
        elif (key := KNOWN_KEYS.get(name)) is not None:
            message.fields.append((key, name, value.strip(" \t")))
        else:
            try:
                message.fields.append((header_key(name), name.strip(), value.strip(" \t")))
            except SipError as error:
                bad = bad or error.reason
    if bad:
        raise SipError(bad)


def _body(message: Message, body: bytes) -> bytes:
    lengths = message.all("content-length")
    if not lengths:
        return body
    if len(lengths) > 1:
        raise SipError("Content-Length is given more than once")
    length = parse_number(lengths[0], "Content-Length", limit=2**31)
    if length > len(body):
        raise SipError("the body is shorter than Content-Length")
    return body[:length]


def check_request(request: Request) -> None:
    """Read what every request must have. Raises SipError with `partial` set (400, or 416 for an unusable scheme)."""
    try:
        _check_common(request)
        forwards = request.get("max-forwards")
        if forwards is not None:
            parse_number(forwards, "Max-Forwards", limit=255)
        if request.cseq.method != request.method:
            raise SipError("CSeq names another method")
        if request.from_.tag is None and request.via.unique:
            raise SipError("From has no tag")
        uri = request.uri
        if isinstance(uri, SipUri) and uri.headers is not None:
            # RFC 3261 §19.1.1: headers are not allowed in a Request-URI
            raise SipError("the Request-URI carries headers")
    except SipError as error:
        error.partial = request
        raise


def check_response(response: Response) -> None:
    """Read what every response must have. Raises SipError."""
    try:
        _check_common(response)
    except SipError as error:
        error.partial = response
        raise


def _check_common(message: Message) -> None:
    seen: set[str] = set()
    for field in message.fields:
        key = field[0]
        if key in _SINGLE:
            if key in seen:
                raise SipError(f"{field[1]} is given more than once")
            seen.add(key)
    _ = message.via, message.from_, message.to, message.cseq, message.call_id
    if len(message.call_id) > 1024:
        raise SipError("Call-ID is too long")
