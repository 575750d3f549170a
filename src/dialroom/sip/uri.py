"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966); any other scheme is kept as it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from dialroom.sip.address import ip_literal
from dialroom.sip.errors import SipError
from dialroom.sip.text import (
    Parameters,
    build_parameters,
    has_controls,
    parameter,
    parse_parameters,
    unescape,
    wire_safe,
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*):")
_HOST = re.compile(r"[A-Za-z0-9._\-]{1,255}")
_BAD_USER = re.compile(r'[\s<>"\x00-\x1f\x7f\[\]\\^{}|@]')
_BAD_VALUE = re.compile(r"[\s<>]")
_TEL = re.compile(r"\+?[0-9A-Fa-f*#()\-.]{1,64}")
_CONTEXT = re.compile(r"\+[0-9().\-]{1,20}")
_DIGITS = frozenset("0123456789")
_SEPARATORS = re.compile(r"[()\-. ]")


@dataclass(frozen=True, slots=True)
class SipUri:
    """`sip:user:password@host:port;parameters?headers`. `user` and `password` stay escaped as received."""

    host: str
    user: str | None = None
    port: int | None = None
    scheme: str = "sip"
    password: str | None = None
    parameters: Parameters = ()
    headers: str | None = None

    @property
    def username(self) -> str:
        """The user part with escapes decoded, "" if absent; a telephone number without its `;parameters`, written in
        full if they say in which country or area it holds."""
        number, *parameters = (self.user or "").split(";")
        contexts = (item.partition("=") for item in parameters)
        context = next((value for name, _, value in contexts if name.lower() == "phone-context"), None)
        return _in_full(unescape(number), unescape(context or ""))

    @property
    def transport(self) -> str | None:
        """The `transport` parameter in lower case."""
        value = parameter(self.parameters, "transport")
        return value.lower() if value else None

    def parameter(self, name: str) -> str | None:
        """The value of a URI parameter: None when absent, "" when it has no value."""
        return parameter(self.parameters, name)

    def without_headers(self) -> SipUri:
        """The URI fit for a Request-URI, where headers may not stand (RFC 3261 §19.1.1)."""
        return replace(self, headers=None) if self.headers is not None else self

    def __str__(self) -> str:
        parts = [self.scheme, ":"]
        if self.user is not None:
            parts.append(wire_safe(self.user))
            if self.password is not None:
                parts.append(":" + wire_safe(self.password))
            parts.append("@")
        parts.append(wire_safe(self.host))
        if self.port is not None:
            parts.append(f":{self.port}")
        parts.append(build_parameters(self.parameters))
        if self.headers is not None:
            parts.append("?" + wire_safe(self.headers))
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class TelUri:
    """`tel:+15551234567;phone-context=…` (RFC 3966)."""

    number: str
    parameters: Parameters = ()

    @property
    def username(self) -> str:
        """The number without visual separators, in full if it says in which country or area it holds."""
        return _in_full(_SEPARATORS.sub("", self.number), parameter(self.parameters, "phone-context") or "")

    def __str__(self) -> str:
        return f"tel:{wire_safe(self.number)}{build_parameters(self.parameters)}"


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of a scheme we do not route."""

    scheme: str
    opaque: str

    @property
    def username(self) -> str:
        """No user can be read from an unknown scheme."""
        return ""

    def __str__(self) -> str:
        return f"{self.scheme}:{wire_safe(self.opaque)}"


def _in_full(number: str, context: str) -> str:
    """A local number after the digits of its `phone-context` (RFC 3966 §5.1.5), if that is one of digits."""
    if number[:1] not in _DIGITS or _CONTEXT.fullmatch(context) is None:
        return number
    return _SEPARATORS.sub("", context) + number


Uri = SipUri | TelUri | OtherUri


def parse_uri(text: str) -> Uri:
    """The URI in `text`. Raises SipError (400) when it is malformed; unknown schemes are not an error here."""
    return _cached(text) if len(text) <= 256 else _parse(text)


def _parse(text: str) -> Uri:
    scheme_hit = _SCHEME.match(text)
    if scheme_hit is None:
        raise SipError("a URI has no scheme")
    if has_controls(text):
        raise SipError("a URI holds a control character")
    scheme = scheme_hit[1].lower()
    rest = text[scheme_hit.end() :]
    if scheme in ("sip", "sips"):
        return _parse_sip(scheme, rest)
    if scheme == "tel":
        return _parse_tel(rest)
    if not rest or any(char.isspace() or char in "<>" for char in rest):
        raise SipError("a URI is malformed")
    return OtherUri(scheme, rest)


_cached = lru_cache(maxsize=2048)(_parse)


def _parse_sip(scheme: str, rest: str) -> SipUri:
    user: str | None = None
    password: str | None = None
    at = rest.rfind("@", 0, _headers_start(rest))
    if at >= 0:
        user, colon, secret = rest[:at].partition(":")
        password = secret if colon else None
        if not user or _BAD_USER.search(rest[:at]):
            raise SipError("the user part of a URI is malformed")
        rest = rest[at + 1 :]
    rest, question, headers = rest.partition("?")
    hostport, semicolon, text = rest.partition(";")
    host, port = parse_host_port(hostport)
    return SipUri(
        host=host,
        user=user,
        port=port,
        scheme=scheme,
        password=password,
        parameters=_parse_parameters(text) if semicolon else (),
        headers=headers if question else None,
    )


def _headers_start(rest: str) -> int:
    """Where `?headers` begin: a question mark before the `@` belongs to the user part."""
    first_at = rest.find("@")
    question = rest.find("?", first_at + 1)
    return question if question >= 0 else len(rest)


def _parse_tel(rest: str) -> TelUri:
    number, semicolon, parameters = rest.partition(";")
    if _TEL.fullmatch(number) is None:
        raise SipError("a tel URI holds no telephone number")
    return TelUri(number, _parse_parameters(parameters) if semicolon else ())


def _parse_parameters(text: str) -> Parameters:
    parameters = parse_parameters(text)
    if any(value is not None and _BAD_VALUE.search(value) for _, value in parameters):
        # It may have to stand in a request line of ours.
        raise SipError("a URI parameter is malformed")
    return parameters


def parse_host_port(text: str) -> tuple[str, int | None]:
    """Host (IPv6 keeps its brackets) and port of `host[:port]`. Raises SipError."""
    text = text.strip()
    if text.startswith("["):
        close = text.find("]")
        literal = ip_literal(text[1:close]) if close > 0 else None
        if literal is None or literal.version != 6 or "%" in text[:close]:
            raise SipError("an IPv6 address is malformed")
        host, tail = text[: close + 1], text[close + 1 :].strip()
        if tail and not tail.startswith(":"):
            raise SipError("a host is malformed")
        port_text = tail[1:] if tail else None
    else:
        host, colon, port = text.partition(":")
        host = host.strip()
        port_text = port if colon else None
        if _HOST.fullmatch(host) is None:
            raise SipError("a host is malformed")
    return host, None if port_text is None else parse_port(port_text)


def parse_port(text: str) -> int:
    """A port, 1–65535. Raises SipError."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise SipError("a port is malformed")
    return int(text)
