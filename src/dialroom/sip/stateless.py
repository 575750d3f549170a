"""Answering without a transaction (RFC 3261 §8.2.7), and where answers go (§18.2)."""

from __future__ import annotations

import hashlib

from dialroom.sip.address import Address, behind_nat
from dialroom.sip.checks import Rejection
from dialroom.sip.errors import SipError
from dialroom.sip.headers.via import without_first
from dialroom.sip.message import Request, Response, respond_to


def stamp(request: Request, source: Address) -> None:
    """Fill `received` and `rport` into the top Via (§18.2.1, RFC 3581). Raises SipError."""
    via = request.via
    stamped = via.seen_from(source.host, source.port)
    if stamped.parameters == via.parameters:
        return
    for index, (key, name, value) in enumerate(request.fields):
        if key == "via":
            rest = without_first(value)
            request.fields[index] = (key, name, f"{stamped}, {rest}" if rest else str(stamped))
            return


def reply_to(request: Request, source: Address) -> Address:
    """Where responses go (§18.2.2): by the stream the request came by, else to its host at the source or sent-by port.

    `maddr` is not followed: it would let a stranger have us send to whom it likes.
    """
    try:
        via = request.via
    except SipError:
        return source
    if source.reliable:
        # "If that transport connection is no longer open, the server SHOULD open a connection to the IP address in the
        # "received" parameter, if present, using the port in the "sent-by" value"
        return Address(source.transport, source.host, via.port or 5060, source.connection)
    if via.wants_rport or behind_nat(via.host, source.host):
        # A phone behind NAT that does not know RFC 3581: at its sent-by port nobody listens.
        return source
    return Address(source.transport, source.host, via.port or 5060)


def stateless_tag(request: Request, key: bytes) -> str:
    """A To tag that is the same whenever the same request comes."""
    via = "\n".join(request.all("via")[:1])
    seed = f"{request.get('call-id')}\n{request.get('from')}\n{via}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(seed, key=key, digest_size=8).hexdigest()


def build_rejection(request: Request, rejection: Rejection, *, tag: str, user_agent: str) -> Response:
    """The response that a rejection puts on the wire; its reason stays with us."""
    response = respond_to(request, rejection.status, to_tag=tag)
    for name, value in rejection.headers:
        response.add(name, value)
    response.add("Server", user_agent)
    return response
