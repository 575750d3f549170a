"""What a request says about itself and its sender, as plain values: for admission, routing and the call's record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from urllib.parse import quote

import msgspec

from dialroom.core.numbers import without_code
from dialroom.sip.address import Address
from dialroom.sip.errors import SipError
from dialroom.sip.headers.name_addr import NameAddr, parse_name_addr
from dialroom.sip.message import Request
from dialroom.sip.text import clean, split_outside, unescape
from dialroom.sip.uri import SipUri, TelUri, Uri, parse_uri

_SHOWN = 512
"""Characters kept of any one URI or value."""
_USER = "!$&'()*+;=?/"
"""What stands unescaped in a user part, besides letters, digits and ``-_.~`` (RFC 3261 §25.1)."""
_MAX_KEPT = 32
_KEPT = frozenset({"user-agent", "p-asserted-identity", "p-preferred-identity", "diversion", "history-info", "privacy"})
"""Headers kept for lookup besides those beginning with X-."""


class RequestFacts(msgspec.Struct, frozen=True):
    """Facts of a request outside of a dialog. All text is cleaned of control characters and bounded.

    What was called (`to_uri`, `to_user`, `request_user`) is told without a code that was dialled with it. None of it is
    proof of who calls, except `source_host` over TCP and `authenticated`, the user name of a digest that
    was verified (`authorization` tells: `none`, `good`, `stale` or `wrong`).
    """

    method: str
    source_host: str
    source_port: int
    transport: str
    call_id: str = ""
    from_uri: str = ""
    from_user: str = ""
    from_display_name: str = ""
    to_uri: str = ""
    to_user: str = ""
    request_user: str = ""
    asserted_identity: str | None = None
    asserted_user: str | None = None
    user_agent: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    authorization: str = "none"
    authenticated: str | None = None
    realm: str | None = None

    def header(self, name: str) -> str | None:
        """The first value of a header kept from the request (X-…, Diversion, …), or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)


def read_facts(request: Request | None, source: Address) -> RequestFacts:
    """The facts of `request`; whatever of it is malformed stays empty. Never raises."""
    if request is None:
        return RequestFacts("", source.host, source.port, source.transport)
    from_, to = _address(request.get("from")), _address(request.get("to"))
    asserted = _first_address(request.get("p-asserted-identity"))
    return RequestFacts(
        method=clean(request.method, 32),
        source_host=source.host,
        source_port=source.port,
        transport=source.transport,
        call_id=clean(request.get("call-id") or ""),
        from_uri=_uri(from_),
        from_user=_user(from_),
        from_display_name=from_.name if from_ is not None else "",
        to_uri=_called_uri(to),
        to_user=_called(to.uri) if to is not None else "",
        request_user=_request_user(request.target),
        asserted_identity=_uri(asserted) or None,
        asserted_user=_user(asserted) or None,
        user_agent=clean(request.get("user-agent") or "") or None,
        headers=tuple((key, clean(value, _SHOWN)) for key, value in islice(_kept(request), _MAX_KEPT)),
    )


def _kept(request: Request) -> Iterator[tuple[str, str]]:
    """Those we know first: nobody can push them out with a crowd of others."""
    known = ((key, value) for key, _, value in request.fields if key in _KEPT)
    return chain(known, ((key, value) for key, _, value in request.fields if key[:2] == "x-"))


def _address(text: str | None) -> NameAddr | None:
    if text is None:
        return None
    try:
        return parse_name_addr(text)
    except SipError:
        return None


def _first_address(text: str | None) -> NameAddr | None:
    if text is None:
        return None
    try:
        return _address(split_outside(text, ",")[0])
    except SipError:
        return None


def _uri(address: NameAddr | None) -> str:
    return clean(str(address.uri), _SHOWN) if address is not None else ""


def _user(address: NameAddr | None) -> str:
    return clean(address.uri.username) if address is not None else ""


def _request_user(target: str) -> str:
    try:
        return _called(parse_uri(target))
    except SipError:
        return ""


def _called(uri: Uri) -> str:
    return clean(without_code(uri.username))


def _called_uri(address: NameAddr | None) -> str:
    if address is None:
        return ""
    uri = address.uri
    if isinstance(uri, SipUri | TelUri):
        uri = replace(uri, parameters=tuple(each for each in uri.parameters if each[0].lower() != "postd"))
    if isinstance(uri, SipUri) and uri.user is not None:
        user = unescape(uri.user)
        called = without_code(user)
        if called != user:
            uri = replace(uri, user=quote(called, safe=_USER, errors="surrogateescape"))
    return clean(str(uri), _SHOWN)
