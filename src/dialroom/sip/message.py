"""Requests and responses: header fields in order, a body, and typed views read only when asked for.

A message is a value once it is on its way: whoever receives one does not change it. Fields a message was parsed from
are kept as text (bytes that are not UTF-8 as surrogates), so unknown headers pass untouched and in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dialroom.sip.errors import LocalError, SipError
from dialroom.sip.headers.cseq import CSeq, parse_cseq
from dialroom.sip.headers.name_addr import NameAddr, parse_name_addr, parse_name_addrs
from dialroom.sip.headers.via import Via, parse_via
from dialroom.sip.multipart import sdp_part
from dialroom.sip.text import is_token, split_outside, wire_safe
from dialroom.sip.uri import Uri, parse_uri

COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
_NAMES: Final = (
    "Accept", "Allow", "Authorization", "CSeq", "Call-ID", "Contact", "Content-Length", "Content-Type", "Date",
    "Expires", "From", "Max-Forwards", "P-Asserted-Identity", "Proxy-Authenticate", "Proxy-Authorization", "RAck",
    "RSeq", "Reason", "Record-Route", "Require", "Retry-After", "Route", "Server", "Session-Expires", "Supported",
    "To", "Unsupported", "User-Agent", "Via", "WWW-Authenticate", "Warning",
)  # fmt: skip
KNOWN_KEYS: Final = (
    {name: name.lower() for name in _NAMES} | COMPACT | {key.upper(): name for key, name in COMPACT.items()}
)

Field = tuple[str, str, str]
"""Key (lower case, long form), name as written, value."""


def header_key(name: str) -> str:
    """The long, lower-case form by which a header is known. Raises SipError when `name` is no token."""
    known = KNOWN_KEYS.get(name)
    if known is not None:
        return known
    key = name.strip(" \t").lower()
    if not is_token(key):
        raise SipError("a header name is malformed")
    return COMPACT.get(key, key)


class Message:
    """What requests and responses share."""

    __slots__ = ("_cseq", "_from", "_to", "_via", "body", "fields")

    def __init__(self, fields: list[Field] | None = None, body: bytes = b"") -> None:
        self.fields: list[Field] = fields if fields is not None else []
        self.body = body
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: CSeq | None = None

    def get(self, key: str) -> str | None:
        """The first value of the header with this key (lower-case long form), or None."""
        for field in self.fields:
            if field[0] == key:
                return field[2]
        return None

    def all(self, key: str) -> list[str]:
        """The values of every field with this key, in order, not split at commas."""
        return [field[2] for field in self.fields if field[0] == key]

    def values(self, key: str) -> list[str]:
        """Every comma-separated value of a header, in order. Raises SipError."""
        return [value for text in self.all(key) for value in split_outside(text, ",") if value]

    def tokens(self, key: str) -> frozenset[str]:
        """The values of a list header such as Require or Supported, in lower case. Raises SipError."""
        return frozenset(value.lower() for value in self.values(key))

    def add(self, name: str, value: str) -> None:
        """Append a header field. Raises LocalError on a malformed name or CR, LF or NUL in the value."""
        try:
            key = header_key(name)
        except SipError as error:
            raise LocalError("a header name must be a token") from error
        self.fields.append((key, name, wire_safe(value)))

    def copy(self, source: Message, keys: Iterable[str]) -> None:
        """Append the fields of `source` with these keys as they stand there, key by key."""
        for key in keys:
            self.fields.extend(field for field in source.fields if field[0] == key)

    def set_body(self, content_type: str, body: bytes) -> None:
        """Give the message a body and its Content-Type."""
        self.add("Content-Type", content_type)
        self.body = body

    @property
    def via(self) -> Via:
        """The topmost Via. Raises SipError."""
        if self._via is None:
            text = self.get("via")
            if text is None:
                raise SipError("Via is missing")
            self._via = parse_via(text)
        return self._via

    @property
    def from_(self) -> NameAddr:
        """From. Raises SipError."""
        if self._from is None:
            self._from = parse_name_addr(self._required("from", "From"))
        return self._from

    @property
    def to(self) -> NameAddr:
        """To. Raises SipError."""
        if self._to is None:
            self._to = parse_name_addr(self._required("to", "To"))
        return self._to

    @property
    def cseq(self) -> CSeq:
        """CSeq. Raises SipError."""
        if self._cseq is None:
            self._cseq = parse_cseq(self._required("cseq", "CSeq"))
        return self._cseq

    @property
    def call_id(self) -> str:
        """Call-ID. Raises SipError."""
        return self._required("call-id", "Call-ID")

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact, or None (also for `*`). Raises SipError."""
        text = self.get("contact")
        if text is None or text == "*":
            return None
        return parse_name_addrs(text)[0]

    @property
    def content_type(self) -> str | None:
        """The media type without parameters in lower case, or None."""
        text = self.get("content-type")
        return None if text is None else text.partition(";")[0].strip().lower()

    @property
    def sdp(self) -> bytes | None:
        """The session description in the body (also as a part of a multipart body), or None."""
        kind = self.content_type
        if not self.body or kind is None:
            return None
        if kind == "application/sdp":
            return self.body
        return sdp_part(self.get("content-type") or "", self.body) if kind == "multipart/mixed" else None

    def _required(self, key: str, name: str) -> str:
        value = self.get(key)
        if not value:
            raise SipError(f"{name} is missing")
        return value

    def _start_line(self) -> str:
        raise NotImplementedError

    def __bytes__(self) -> bytes:
        lines = [self._start_line()]
        lines += [f"{field[1]}: {field[2]}" for field in self.fields if field[0] != "content-length"]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)


class Request(Message):
    """A request. `target` is the Request-URI as text; `uri` reads it."""

    __slots__ = ("_uri", "method", "target")

    def __init__(self, method: str, target: str, fields: list[Field] | None = None, body: bytes = b"") -> None:
        super().__init__(fields, body)
        self.method = method
        self.target = target
        self._uri: Uri | None = None

    @property
    def uri(self) -> Uri:
        """The Request-URI. Raises SipError."""
        if self._uri is None:
            self._uri = parse_uri(self.target)
        return self._uri

    def _start_line(self) -> str:
        return f"{self.method} {wire_safe(self.target)} SIP/2.0"


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, fields: list[Field] | None = None, body: bytes = b"") -> None:
        super().__init__(fields, body)
        self.status = status
        self.reason = reason

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {wire_safe(self.reason)}"


REASONS: Final = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
    413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required", 469: "Bad Info Package",
    480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
    483: "Too Many Hops", 484: "Address Incomplete", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 491: "Request Pending",
    500: "Server Internal Error", 501: "Not Implemented", 503: "Service Unavailable", 504: "Server Time-out",
    505: "Version Not Supported", 513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline",
    604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip


def reason_phrase(status: int) -> str:
    """The usual phrase for a status code."""
    return REASONS.get(status, "Unknown")


def respond_to(request: Message, status: int, reason: str | None = None, *, to_tag: str | None = None) -> Response:
    """A response to `request` with its Via, From, To, Call-ID and CSeq (RFC 3261 §8.2.6.2).

    `to_tag` is added to To unless it has one already or the response is 100 Trying, which repeats the Timestamp
    instead (§8.2.6.1). Fields the request lacks are left out.
    """
    response = Response(status, reason or reason_phrase(status))
    response.copy(request, ("via", "from"))
    for field in request.fields:
        if field[0] == "to":
            value = field[2]
            if to_tag and status != 100 and not _has_tag(request):
                value = f"{value};tag={to_tag}"
            response.fields.append(("to", "To", value))
            break
    response.copy(request, ("call-id", "cseq", "timestamp") if status == 100 else ("call-id", "cseq"))
    return response


def _has_tag(request: Message) -> bool:
    try:
        return request.to.tag is not None
    except SipError:
        return False
