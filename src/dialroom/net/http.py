"""HTTP to places that customers name, without letting them name our own inside (SSRF).

The check is where the connection is made: a name is resolved once, every address it has must be public, and the
connection goes to a checked address, so that neither odd spellings of an address (``0x7f.1``, ``[::ffff:127.0.0.1]``)
nor a name that resolves differently the second time get around it. Redirects are not followed, environment proxies not
used; time and size are bounded. Self-hosters allow networks of their own by configuration.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, Literal

import httpcore2
import httpx2

from dialroom.core.errors import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
Failure = Literal["address_refused", "name_not_found", "timeout", "tls", "connection", "protocol"]

MAX_URL: Final = 2048
_VISIBLE = re.compile(r"[^\s\x00-\x1f\x7f]+")
_NAT64 = IPv6Network("64:ff9b::/96")
_NOT_PUBLIC = tuple(IPv6Network(text) for text in ("::/96", "64:ff9b:1::/48", "2001::/32", "3fff::/20", "fec0::/10"))
"""What Python's ``is_global`` lets through or may: IPv4-compatible, local NAT64, Teredo, documentation, site-local."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back; ``body`` is cut at the client's limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class HttpFailed(Exception):  # noqa: N818 - says what is the case
    """There was no answer; ``why`` is a stable word, ``detail`` is for people."""

    def __init__(self, why: Failure, detail: str) -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why
        self.detail = detail


def is_public(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """Whether we may connect to an address: a global unicast one, or one in an `allowed` network.

    IPv6 forms that stand for an IPv4 address (mapped, 6to4, NAT64) are judged as that address.
    """
    real = _unwrap(address)
    if any(real in network or address in network for network in allowed):
        return True
    if isinstance(real, IPv6Address) and any(real in network for network in _NOT_PUBLIC):
        return False
    return real.is_global and not real.is_multicast and not real.is_reserved


def _unwrap(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def check_url(url: str, allowed: Iterable[Network] = ()) -> str:
    """The URL, if we would send to it; a name's addresses are only checked when it is used. Raises Invalid."""
    try:
        parsed = httpx2.URL(url) if _VISIBLE.fullmatch(url) and len(url) <= MAX_URL else None
    except (httpx2.InvalidURL, ValueError):
        parsed = None
    port = (parsed.port or 443) if parsed else 0
    if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host or not 1 <= port <= 65535:
        raise Invalid("This is no URL we can send to.", "Write it as https://example.com/path.", field="url")
    if parsed.userinfo:
        raise Invalid("A URL must not hold a user name or password.", "Leave them out; use the signature.", field="url")
    try:
        address = ip_address(parsed.host)
    except ValueError:
        return url
    if not is_public(address, allowed):
        raise Invalid(
            f"{address} is not a public address.",
            "Use a public one, or have the operator add its network to `webhook_allowed_networks`.",
            field="url",
        )
    return url


class _AddressRefused(httpcore2.ConnectError):
    """The name leads to an address we do not connect to."""


class _NameNotFound(httpcore2.ConnectError):
    """The name has no address."""


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to public addresses only."""

    def __init__(self, allowed: Sequence[Network], resolve: Resolver) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        last: Exception = _NameNotFound(host)
        for address in await self._checked(host, port):
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last

    async def connect_unix_socket(self, *_args: Any, **_options: Any) -> httpcore2.AsyncNetworkStream:
        raise _AddressRefused("a Unix socket is no public address")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _checked(self, host: str, port: int) -> tuple[Address, ...]:
        try:
            addresses = tuple(ip_address(text.partition("%")[0]) for text in await self._resolve(host, port))
        except (OSError, ValueError, UnicodeError) as error:
            raise _NameNotFound(f"{host} cannot be resolved") from error
        refused = [address for address in addresses if not is_public(address, self._allowed)]
        if refused:
            raise _AddressRefused(f"{host} leads to {refused[0]}, which is not a public address")
        return tuple(dict.fromkeys(addresses))


class GuardedHttp:
    """Sends requests to URLs that others chose. `timeout` in seconds is for a whole request."""

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        timeout: float = 15.0,
        max_body: int = 65536,
        max_connections: int = 512,
        resolve: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout = timeout
        self._max_body = max_body
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context or httpx2.create_ssl_context(trust_env=False),
            max_connections=max_connections,
            keepalive_expiry=30.0,
            network_backend=GuardedBackend(allowed, resolve or resolve_by_system),
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Send a POST. Any status is an answer, a redirect too. Raises HttpFailed."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send("POST", url, headers, body)
        except (TimeoutError, httpcore2.TimeoutException) as error:
            raise HttpFailed("timeout", f"no answer within {self._timeout:g} s") from error
        except _AddressRefused as error:
            raise HttpFailed("address_refused", str(error)) from error
        except _NameNotFound as error:
            raise HttpFailed("name_not_found", str(error)) from error
        except httpcore2.NetworkError as error:
            why: Failure = "tls" if isinstance(_root(error), ssl.SSLError) else "connection"
            raise HttpFailed(why, str(_root(error)) or type(error).__name__) from error
        except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ValueError) as error:
            raise HttpFailed("protocol", str(error) or type(error).__name__) from error

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        parsed = httpx2.URL(url)
        target = httpcore2.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
        sent = {"Host": parsed.netloc.decode("ascii"), "Content-Length": str(len(body)), **headers}
        received = bytearray()
        async with self._pool.stream(method, target, headers=list(sent.items()), content=body) as response:
            async for chunk in response.aiter_stream():
                received += chunk
                if len(received) >= self._max_body:
                    break
            texts = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return HttpAnswer(response.status, texts, bytes(received[: self._max_body]))

    async def close(self) -> None:
        """Close idle connections."""
        await self._pool.aclose()


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """All addresses the system finds for a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
