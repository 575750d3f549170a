"""Names that people read: of rooms' participants, as they give them."""

from __future__ import annotations

from typing import Final

from dialroom.core.errors import Invalid

MAX_NAME: Final = 120


def clean_name(name: str) -> str:
    """The name on one line, without what cannot be seen. Raises Invalid if nothing is left, or too much."""
    name = "".join(letter for letter in " ".join(name.split()) if letter.isprintable())
    if not 1 <= len(name) <= MAX_NAME:
        raise Invalid(f"A name has 1 to {MAX_NAME} printable characters.", field="name")
    return name
