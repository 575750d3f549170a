from __future__ import annotations

import pytest

from dialroom.core.ids import is_id, new_id


def test_an_id_says_what_it_names_and_is_never_drawn_twice() -> None:
    ids = {new_id("room") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(is_id(each, "room") for each in ids)
    assert not is_id(new_id("room"), "sess")


@pytest.mark.parametrize("text", ["", "room_", "room_" + "A" * 20, "room_" + "a" * 21, "room_" + "a" * 19 + "\n"])
def test_other_text_is_no_id(text: str) -> None:
    assert not is_id(text, "room")


def test_an_unknown_prefix_is_a_mistake_in_the_program() -> None:
    with pytest.raises(ValueError, match="prefix"):
        new_id("thing")
