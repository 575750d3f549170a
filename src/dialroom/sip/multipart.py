"""The session description inside a multipart body (RFC 5621), as gateways send it beside ISUP or location data."""

from __future__ import annotations

from dialroom.sip.errors import SipError
from dialroom.sip.text import parameter, parse_parameters

_MAX_PARTS = 16


def sdp_part(content_type: str, body: bytes) -> bytes | None:
    """The first `application/sdp` part of a multipart body, or None. Parts within parts are not looked into."""
    _, _, parameters = content_type.partition(";")
    try:
        boundary = parameter(parse_parameters(parameters), "boundary")
    except SipError:
        return None
    if not boundary or len(boundary) > 70:
        return None
    delimiter = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
    for part in (b"\r\n" + body).split(delimiter, _MAX_PARTS + 1)[1 : _MAX_PARTS + 1]:
        if part.startswith(b"--"):
            return None
        head, blank, content = part.partition(b"\r\n\r\n")
        if blank and _is_sdp(head):
            return content
    return None


def _is_sdp(head: bytes) -> bool:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in (b"content-type", b"c"):
            return value.partition(b";")[0].strip().lower() == b"application/sdp"
    return False
