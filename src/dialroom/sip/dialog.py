"""Dialogs (RFC 3261 §12): who talks to whom, in which order, by which route.

A `Dialog` is a frozen value that can be stored: what changes it returns the next one. A UAS makes one with
`Dialog.of_request` from the INVITE it answers, a UAC with `Dialog.of_response` from the response to its own; both then
use `next_request` for what they send and `receive` for what comes in.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec

from dialroom.sip.address import Address, behind_nat, ip_literal, wire_host
from dialroom.sip.errors import SipError
from dialroom.sip.headers.name_addr import parse_name_addr
from dialroom.sip.limits import MAX_CSEQ, MAX_ROUTES
from dialroom.sip.message import Request, Response
from dialroom.sip.text import has_controls
from dialroom.sip.uri import SipUri, Uri, parse_uri

_TRANSPORTS = ("udp", "tcp")
DialogId = tuple[str, str, str]
"""Call-ID, local tag, remote tag."""


class Dialog(msgspec.Struct, frozen=True, kw_only=True):
    """One dialog as seen from our end. `local_uri` and `remote_uri` are From/To values without their tags."""

    call_id: str
    local_tag: str
    remote_tag: str
    local_uri: str
    remote_uri: str
    remote_target: str
    route_set: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int | None = None
    flow: Address
    """Where the peer's last request in this dialog, or its response, came from."""

    @property
    def id(self) -> DialogId:
        """What a message is matched by."""
        return (self.call_id, self.local_tag, self.remote_tag)

    @classmethod
    def of_request(cls, request: Request, *, local_tag: str, source: Address) -> Dialog:
        """The UAS's dialog (§12.1.1). Raises SipError when the request cannot found one (no usable Contact)."""
        contact = request.contact
        if contact is not None:
            target = _target(contact.uri)
        elif request.via.unique:
            raise SipError("an INVITE needs a Contact", partial=request)
        else:
            # RFC 2543 had no need of one: the peer is where it sends from.
            target = f"sip:{wire_host(source.host)}:{source.port}"
        return cls._checked(
            call_id=request.call_id,
            local_tag=local_tag,
            remote_tag=request.from_.tag or "",
            local_uri=_without_tag(request.get("to") or ""),
            remote_uri=_without_tag(request.get("from") or ""),
            remote_target=target,
            route_set=_routes(request, reverse=False),
            remote_cseq=request.cseq.number,
            flow=source,
        )

    @classmethod
    def of_response(cls, request: Request, response: Response, *, source: Address) -> Dialog:
        """The UAC's dialog (§12.1.2) from a response with a To tag. Raises SipError."""
        contact = response.contact
        return cls._checked(
            call_id=request.call_id,
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            local_uri=_without_tag(request.get("from") or ""),
            remote_uri=_without_tag(response.get("to") or ""),
            remote_target=_target(contact.uri) if contact is not None else request.target,
            route_set=_routes(response, reverse=True),
            local_cseq=request.cseq.number,
            flow=source,
        )

    @classmethod
    def _checked(cls, **fields: Any) -> Dialog:
        """A dialog of which every part can go on the wire again. A NUL is legal in a quoted string, but not with us."""
        for value in fields.values():
            texts = value if isinstance(value, tuple) else (value,)
            if any(isinstance(text, str) and has_controls(text.replace("\t", " ")) for text in texts):
                raise SipError("a control character in what identifies the dialog")
        return cls(**fields)

    def receive(self, request: Request, source: Address) -> Dialog | None:
        """The dialog after `request` (§12.2.2), None when its CSeq is out of order (to be answered 500).

        ACK and CANCEL repeat their INVITE's number and are not to be given here. A target refresh (INVITE, UPDATE)
        moves the remote target. Raises SipError.
        """
        number = request.cseq.number
        if self.remote_cseq is not None and number <= self.remote_cseq:
            return None
        target = self.remote_target
        if request.method in ("INVITE", "UPDATE") and (contact := request.contact) is not None:
            target = _target(contact.uri)
        return msgspec.structs.replace(self, remote_cseq=number, remote_target=target, flow=source)

    def refresh(self, response: Response, source: Address) -> Dialog:
        """The dialog after a 2xx to our own target refresh (§12.2.1.2). Raises SipError."""
        contact = response.contact
        target = _target(contact.uri) if contact is not None else self.remote_target
        return msgspec.structs.replace(self, remote_target=target, flow=source)

    def next_request(self, method: str) -> tuple[Dialog, Request]:
        """The next request in this dialog (§12.2.1.1), still without Via, Contact and body, and the dialog after it."""
        number = min(self.local_cseq + 1, MAX_CSEQ)
        return msgspec.structs.replace(self, local_cseq=number), self.request(method, number)

    def request(self, method: str, cseq: int) -> Request:
        """A request with this number; for ACK, which repeats that of its INVITE."""
        target, routes = self._loose_route()
        request = Request(method, target)
        request.add("Max-Forwards", "70")
        request.add("From", f"{self.local_uri};tag={self.local_tag}")
        request.add("To", f"{self.remote_uri};tag={self.remote_tag}" if self.remote_tag else self.remote_uri)
        request.add("Call-ID", self.call_id)
        request.add("CSeq", f"{cseq} {method}")
        for route in routes:
            request.add("Route", route)
        return request

    def next_hop(self, connected: Container[int] = ()) -> Address:
        """Where requests of this dialog go: first route, else the remote target, else (behind NAT) where it talks from.

        A private Contact host from a public source address is a phone behind NAT that did not know better, and a
        transport we do not talk cannot be its way either; the only way back is the way it came. A stream among
        `connected` is used again. Raises SipError.
        """
        hop = parse_name_addr(self.route_set[0]).uri if self.route_set else parse_uri(self.remote_target)
        if not isinstance(hop, SipUri):
            return self.flow
        transport = hop.transport or self.flow.transport
        if (transport not in _TRANSPORTS or hop.scheme == "sips") and not self.route_set:
            return self.flow
        host = hop.host.strip("[]")
        literal, seen = ip_literal(host), ip_literal(self.flow.host)
        if not self.route_set and literal is not None and seen is not None and literal != seen:
            unreachable = literal.is_unspecified or (literal.is_loopback and not seen.is_loopback)
            if unreachable or behind_nat(host, self.flow.host):
                return self.flow
        if transport == self.flow.transport and self.flow.connection in connected and not self.route_set:
            return self.flow
        return Address(transport, host, hop.port or 5060)

    def _loose_route(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Route: a first route without `lr` is a strict router (§12.2.1.1)."""
        if not self.route_set:
            return self.remote_target, ()
        first = parse_name_addr(self.route_set[0]).uri
        if isinstance(first, SipUri) and first.parameter("lr") is None:
            return str(first.without_headers()), (*self.route_set[1:], f"<{self.remote_target}>")
        return self.remote_target, self.route_set


def _without_tag(text: str) -> str:
    """A From or To value with its tag taken off, otherwise as the peer wrote it."""
    if has_controls(text.replace("\t", " ")):
        # Legal in a quoted string, but it would have to go out again in every request of ours.
        raise SipError("a control character in From or To")
    address = parse_name_addr(text)
    kept = tuple(item for item in address.parameters if item[0] != "tag")
    return str(type(address)(address.uri, address.display_name, kept))


def _target(uri: Uri) -> str:
    return str(uri.without_headers() if isinstance(uri, SipUri) else uri)


def _routes(message: Request | Response, *, reverse: bool) -> tuple[str, ...]:
    routes = message.values("record-route")
    if len(routes) > MAX_ROUTES:
        raise SipError("too many Record-Route values")
    for route in routes:
        parse_name_addr(route)
    return tuple(reversed(routes)) if reverse else tuple(routes)
