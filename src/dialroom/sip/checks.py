"""What a UAS checks before it looks at what a request wants, in the order of RFC 3261 §8.2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from dialroom.sip.errors import SipError
from dialroom.sip.message import Request
from dialroom.sip.session.context import ALLOW
from dialroom.sip.text import is_token, parameter, parse_parameters
from dialroom.sip.uri import OtherUri, SipUri

SUPPORTED: Final = frozenset({"100rel"})
_ALLOWED: Final = frozenset(ALLOW.split(", "))
_KNOWN: Final = frozenset({"REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER"})
"""Methods we know and do not take: 405. Unknown ones get 501."""
_DESCRIBED: Final = frozenset({"INVITE", "UPDATE", "PRACK"})
"""Methods whose body is a session description."""


class Rejection(NamedTuple):
    """A response to give, with the headers that say why."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


def inspect(request: Request, *, in_dialog: bool) -> Rejection | None:
    """The first thing that is wrong with a well-formed request, or None."""
    for step in _IN_DIALOG if in_dialog else _OUTSIDE:
        rejection = step(request)
        if rejection is not None:
            return rejection
    return None


def inspect_method(request: Request) -> Rejection | None:
    """§8.2.1 Method Inspection."""
    if request.method in _ALLOWED:
        return None
    status = 405 if request.method in _KNOWN else 501
    return Rejection(status, f"method {request.method[:32]} is not taken here", (("Allow", ALLOW),))


def inspect_request_uri(request: Request) -> Rejection | None:
    """§8.2.2.1 To and Request-URI: a scheme the UAS does not understand is 416; so is `sips` without TLS."""
    uri = request.uri
    if isinstance(uri, OtherUri) or (isinstance(uri, SipUri) and uri.scheme == "sips"):
        return Rejection(416, "the scheme of the Request-URI is not served here")
    return None


def inspect_require(request: Request) -> Rejection | None:
    """§8.2.2.3 Require: what is not understood is listed in Unsupported."""
    if request.method in ("ACK", "CANCEL"):
        return None
    unknown = [value for value in request.values("require") if value.lower() not in SUPPORTED]
    if unknown:
        named = ", ".join(value for value in unknown if is_token(value))
        return Rejection(420, "a required extension is unknown", (("Unsupported", named),))
    return None


def inspect_content(request: Request) -> Rejection | None:
    """§8.2.3 Content Processing."""
    if not request.body:
        return None
    encoding = request.get("content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        return Rejection(415, "the body is encoded", (("Accept-Encoding", "identity"),))
    if request.method in _DESCRIBED and request.sdp is None and not _optional(request):
        return Rejection(415, "the body is no session description", (("Accept", "application/sdp"),))
    return None


def _optional(request: Request) -> bool:
    """Whether who does not understand the body is to ignore it (§20.11), as with the ISUP of some gateways."""
    _, _, parameters = (request.get("content-disposition") or "").partition(";")
    try:
        return (parameter(parse_parameters(parameters), "handling") or "").lower() == "optional"
    except SipError:
        return False


def inspect_max_forwards(request: Request) -> Rejection | None:
    """A call that may not be forwarded any more: we may pass it on, so it ends here (RFC 7332 §3).

    Other requests are for us, and are answered (RFC 4475 §3.3.9).
    """
    forwards = request.get("max-forwards")
    if request.method == "INVITE" and forwards is not None and int(forwards) == 0:
        return Rejection(483, "Max-Forwards is used up")
    return None


def inspect_dialog(request: Request) -> Rejection | None:
    """§12.2.2: a method that lives only in a dialog, outside of one."""
    if request.method in ("INVITE", "OPTIONS"):
        return None
    return Rejection(481, "there is no such call")


def inspect_contact(request: Request) -> Rejection | None:
    """§8.1.1.8: an INVITE carries exactly one Contact, a SIP URI to which later requests can go."""
    if request.method != "INVITE":
        return None
    try:
        contacts = request.values("contact")
        if len(contacts) == 1 and request.contact is not None:
            return None
        if not contacts and not request.via.unique:
            return None
    except SipError as error:
        return Rejection(400, error.reason)
    return Rejection(400, "an INVITE needs one Contact")


_Step = Callable[[Request], Rejection | None]
_OUTSIDE: Final[tuple[_Step, ...]] = (
    inspect_method,
    inspect_request_uri,
    inspect_require,
    inspect_content,
    inspect_dialog,
    inspect_max_forwards,
    inspect_contact,
)
_IN_DIALOG: Final[tuple[_Step, ...]] = (inspect_method, inspect_require, inspect_content)
