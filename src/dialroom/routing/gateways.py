"""Who may bring calls in: by network, by digest, or both, per gateway; and the networks trusted without a gateway.

Pure: addresses and gateways in, a verdict with its trace out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from dialroom.routing.trace import TraceStep

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class InboundGateway(Protocol):
    """What admission reads of a gateway. No ``addresses`` means any source; a ``username`` asks for digest."""

    @property
    def id(self) -> str: ...
    @property
    def organisation(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def addresses(self) -> Sequence[Network]: ...
    @property
    def username(self) -> str | None: ...
    @property
    def region(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may come in; ``gateway`` is None for a source in the networks allowed without one."""

    gateway: InboundGateway | None
    trace: tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True)
class MustAuthenticate:
    """Somebody who may be one of ``gateways`` (each with a username) if they can prove it by digest."""

    gateways: tuple[InboundGateway, ...]
    trace: tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True)
class Stranger:
    """Nobody we take calls from."""

    trace: tuple[TraceStep, ...]


Admission = Admitted | MustAuthenticate | Stranger


def admit(
    source: str,
    gateways: Sequence[InboundGateway],
    allowed: Sequence[Network],
    authenticated_as: str | None = None,
) -> Admission:
    """Who a call from the address ``source`` comes from.

    ``authenticated_as`` is the id of the gateway whose digest was verified. A gateway with addresses and a username
    needs both. Networks narrower win, so that one customer's /32 inside another's /8 is its own.
    """
    address = parse_address(source)
    if address is None:
        return Stranger((TraceStep(f"source {source}", "decided", "this is not an address"),))
    trace: list[TraceStep] = []
    candidates: list[InboundGateway] = []
    for gateway in sorted(gateways, key=lambda each: (-_closeness(address, each), each.id)):
        subject, owner = f"gateway {gateway.name} ({gateway.id})", gateway.organisation
        closeness = _closeness(address, gateway)
        if closeness == _OUTSIDE:
            trace.append(TraceStep(subject, "not_matched", f"{address} is in none of its networks", owner))
        elif gateway.username is None:
            trace.append(TraceStep(subject, "matched", f"{address} is in its networks", owner))
            return Admitted(gateway, tuple(trace))
        elif authenticated_as == gateway.id:
            trace.append(TraceStep(subject, "matched", "it proved its identity by digest", owner))
            return Admitted(gateway, tuple(trace))
        else:
            trace.append(TraceStep(subject, "not_matched", "it has to prove its identity by digest first", owner))
            candidates.append(gateway)
    for network in allowed:
        if address in network:
            trace.append(TraceStep(f"network {network}", "matched", f"{address} may call without a gateway"))
            return Admitted(None, tuple(trace))
    if candidates:
        return MustAuthenticate(tuple(candidates), tuple(trace))
    why = f"{address} is in no gateway's networks and in none that may call without one"
    trace.append(TraceStep(f"source {address}", "decided", why))
    return Stranger(tuple(trace))


def parse_address(text: str) -> Address | None:
    """An IP address; IPv4 mapped into IPv6 counts as the IPv4 it is. None if it is not one."""
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


_OUTSIDE = -2
_ANYWHERE = -1


def _closeness(address: Address, gateway: InboundGateway) -> int:
    """Prefix length of the narrowest network of the gateway that holds the address."""
    if not gateway.addresses:
        # Without addresses and without a username a gateway would admit the whole world: it admits nobody.
        return _ANYWHERE if gateway.username is not None else _OUTSIDE
    lengths = [network.prefixlen for network in gateway.addresses if address in network]
    return max(lengths, default=_OUTSIDE)
