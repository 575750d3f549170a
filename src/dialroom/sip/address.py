"""Where a message came from or goes to."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

import msgspec

_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
"""RFC 6598."""
RELIABLE = frozenset({"tcp", "tls"})


class Address(msgspec.Struct, frozen=True):
    """A transport address. `transport` is `udp` or `tcp`; `connection` names an open stream, None for a datagram.

    `host` is an IP literal without brackets, or a name the driver resolves. An address whose connection has closed
    is reached by opening a new one to host and port.
    """

    transport: str
    host: str
    port: int
    connection: int | None = None

    @property
    def reliable(self) -> bool:
        """Whether the transport itself retransmits (RFC 3261 §17)."""
        return self.transport in RELIABLE


@lru_cache(maxsize=1024)
def ip_literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address `host` spells (brackets allowed), or None when it is a name."""
    if len(host) > 64:
        return None
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def unmapped(host: str) -> str:
    """An IPv4 address as itself where a socket of both families shows it as IPv6 (`::ffff:…`)."""
    literal = ip_literal(host)
    inner = literal.ipv4_mapped if isinstance(literal, ipaddress.IPv6Address) else None
    return host if inner is None else str(inner)


def behind_nat(said: str, seen: str) -> bool:
    """Whether a peer that calls itself `said` and is seen at `seen` can only be reached the way it came: an address of
    its own network, private or shared behind a carrier's NAT, seen from outside."""
    inner, outer = ip_literal(said), ip_literal(seen)
    if inner is None or outer is None or outer.is_private:
        return False
    return inner.is_private or (inner in _SHARED and outer not in _SHARED)


def wire_host(host: str) -> str:
    """`host` as it stands in a URI or Via: IPv6 in brackets (RFC 3261 §25.1, RFC 5118)."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
