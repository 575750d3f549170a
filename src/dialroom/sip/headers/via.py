"""Via (RFC 3261 §20.42) with `received` and `rport` (RFC 3581)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dialroom.sip.errors import SipError
from dialroom.sip.text import Parameters, build_parameters, has_controls, parameter, parse_parameters, split_outside
from dialroom.sip.uri import parse_host_port, parse_port

MAGIC_COOKIE = "z9hG4bK"
_PROTOCOL = re.compile(r"\s*SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Via:
    """One hop. `transport` is in lower case."""

    transport: str
    host: str
    port: int | None
    parameters: Parameters = ()

    @property
    def branch(self) -> str | None:
        """The transaction's branch."""
        return parameter(self.parameters, "branch")

    @property
    def sent_by(self) -> str:
        """Host and port as compared when matching transactions (RFC 3261 §17.2.3)."""
        return f"{self.host.lower()}:{self.port or 5060}"

    @property
    def unique(self) -> bool:
        """Whether the branch is one of RFC 3261, unique for the transaction (more than the bare cookie)."""
        branch = self.branch or ""
        return branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE)

    @property
    def received(self) -> str | None:
        """The `received` address, without brackets (RFC 5118 §4.5 allows both spellings)."""
        value = parameter(self.parameters, "received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The port in `rport`, None when absent or still empty. Raises SipError."""
        value = parameter(self.parameters, "rport")
        return parse_port(value) if value else None

    @property
    def wants_rport(self) -> bool:
        """Whether the client asked for the answer at its source port."""
        return parameter(self.parameters, "rport") is not None

    def seen_from(self, host: str, port: int) -> Via:
        """The Via with `received` and, if asked for, `rport` filled in by the server (RFC 3581 §4)."""
        kept = tuple(item for item in self.parameters if item[0] not in ("received", "rport"))
        if self.wants_rport:
            kept += (("rport", str(port)), ("received", host))
        elif self.host.strip("[]") != host:
            kept += (("received", host),)
        return Via(self.transport, self.host, self.port, kept)

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport.upper()} {self.host}{port}{build_parameters(self.parameters)}"


def parse_via(text: str) -> Via:
    """The first Via of a field. Raises SipError."""
    first = split_outside(text, ",", angles=False)[0] if "," in text else text
    protocol = _PROTOCOL.match(first)
    if protocol is None or has_controls(text.replace("\t", " ")):
        raise SipError("Via is malformed")
    sent_by, semicolon, parameters = first[protocol.end() :].partition(";")
    host, port = parse_host_port(sent_by)
    return Via(protocol[1].lower(), host, port, parse_parameters(parameters, strict=True) if semicolon else ())


def without_first(text: str) -> str:
    """The rest of a Via field after its first value, "" when there is none. Raises SipError."""
    return ", ".join(split_outside(text, ",", angles=False)[1:]) if "," in text else ""
