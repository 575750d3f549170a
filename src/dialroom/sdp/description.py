"""Values of a session description (RFC 8866)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """`o=`: who made this description, and which version of it (RFC 3264 §8: one more with every change)."""

    username: str
    session_id: int
    version: int
    address: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """`a=name:value`; `value` is None for a flag."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """One `m=` section. `address` is None when the session's own `c=` holds; port 0 means refused or removed."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    address: str | None = None
    attributes: tuple[Attribute, ...] = ()

    def attribute(self, name: str) -> str | None:
        """The first value of an attribute: None when absent, "" for a flag."""
        return find(self.attributes, name)

    def all(self, name: str) -> list[str]:
        """Every value of an attribute, in order."""
        return [item.value or "" for item in self.attributes if item.name == name]


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description."""

    origin: Origin
    media: tuple[Media, ...]
    address: str | None = None
    attributes: tuple[Attribute, ...] = ()
    name: str = "-"

    def attribute(self, name: str) -> str | None:
        """The first value of a session attribute: None when absent, "" for a flag."""
        return find(self.attributes, name)


def find(attributes: tuple[Attribute, ...], name: str) -> str | None:
    """The first value of the attribute `name`: None when absent, "" for a flag."""
    for item in attributes:
        if item.name == name:
            return item.value or ""
    return None
