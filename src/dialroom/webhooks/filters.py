"""Which events an endpoint wants."""

from __future__ import annotations

from collections.abc import Sequence

from dialroom.core.errors import Invalid
from dialroom.core.events import EVENT_TYPES

_FAMILIES = frozenset(type_.partition(".")[0] + ".*" for type_ in EVENT_TYPES)


def wants(filters: Sequence[str], type_: str) -> bool:
    """Whether one of `filters` covers this type: the type itself, its family (``call.*``), or ``*``."""
    family = type_.partition(".")[0] + ".*"
    return any(wanted in ("*", type_, family) for wanted in filters)


def check_filters(filters: Sequence[str]) -> tuple[str, ...]:
    """The filters without repeats. Raises Invalid for one that can never match."""
    for wanted in filters:
        if wanted != "*" and wanted not in EVENT_TYPES and wanted not in _FAMILIES:
            known = ", ".join(("*", *sorted(_FAMILIES), *EVENT_TYPES))
            raise Invalid(f"There is no event {wanted[:60]!r}.", f"Use any of {known}.", field="events")
    if not filters:
        raise Invalid("The endpoint would get no event.", 'Use ["*"] for all.', field="events")
    return tuple(dict.fromkeys(filters))
