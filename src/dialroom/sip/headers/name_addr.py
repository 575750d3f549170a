"""From, To, Contact, Route, Record-Route, P-Asserted-Identity: `"name" <uri>;parameters` (RFC 3261 §20.10)."""

from __future__ import annotations

from dataclasses import dataclass

from dialroom.sip.errors import SipError
from dialroom.sip.text import (
    Parameters,
    build_parameters,
    clean,
    parameter,
    parse_parameters,
    quote,
    quoted_end,
    split_outside,
    unquote,
)
from dialroom.sip.uri import Uri, parse_uri


@dataclass(frozen=True, slots=True)
class NameAddr:
    """A display name (quotes and escapes removed, "" if none), a URI, and header parameters."""

    uri: Uri
    display_name: str = ""
    parameters: Parameters = ()

    @property
    def tag(self) -> str | None:
        """The dialog tag; None when absent or empty."""
        return parameter(self.parameters, "tag") or None

    @property
    def name(self) -> str:
        """The display name fit for people: no control or bidirectional marks, at most 256 characters."""
        return clean(self.display_name)

    def __str__(self) -> str:
        name = f"{quote(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{build_parameters(self.parameters)}"


def parse_name_addr(text: str) -> NameAddr:
    """One address. An unquoted display name may hold anything up to `<`. Raises SipError."""
    text = text.strip()
    name, start = "", 0
    if text.startswith('"'):
        start = quoted_end(text, 0)
        name = unquote(text[:start])
        if not text[start:].lstrip().startswith("<"):
            raise SipError("a display name is not followed by <uri>")
    opening = text.find("<", start)
    if opening < 0:
        return _parse_addr_spec(text)
    if not start:
        name = text[:opening].strip()
        if '"' in name:
            raise SipError("a quoted string is not closed")
    closing = text.find(">", opening)
    if closing < 0:
        raise SipError("an angle bracket is not closed")
    rest = text[closing + 1 :].strip()
    if rest and not rest.startswith(";"):
        raise SipError("an address is followed by something else than parameters")
    return NameAddr(parse_uri(text[opening + 1 : closing].strip()), name, parse_parameters(rest))


def _parse_addr_spec(text: str) -> NameAddr:
    """RFC 3261 §20.10: without angle brackets, everything after a semicolon belongs to the header, not the URI."""
    uri, _, parameters = text.partition(";")
    uri = uri.strip()
    # "if the URI contains a comma, question mark or semicolon, the URI MUST be enclosed in angle brackets"
    if "?" in uri or "," in uri:
        raise SipError("a URI with ? or , must be enclosed in angle brackets")
    return NameAddr(parse_uri(uri), "", parse_parameters(parameters))


def parse_name_addrs(text: str) -> list[NameAddr]:
    """Every address of a comma-separated header value; at least one. Raises SipError."""
    return [parse_name_addr(part) for part in split_outside(text, ",")]
