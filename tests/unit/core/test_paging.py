from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialroom.core.errors import InvalidCursor
from dialroom.core.paging import MAX_LIMIT, Position, clamp_limit, decode_cursor, encode_cursor


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    st.from_regex(r"[a-z]{2,5}_[a-z2-7]{20}", fullmatch=True),
)
def test_a_cursor_leads_back_to_its_position(at: datetime, id_: str) -> None:
    assert decode_cursor(encode_cursor(Position(at, id_))) == Position(at, id_)


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!!", "é", "MTIz", "A" * 500, "OjpfXw", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTphYg"]
)
def test_a_cursor_we_did_not_write_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor)


@given(st.text(max_size=140))
def test_no_text_breaks_the_cursor_reader(cursor: str) -> None:
    with contextlib.suppress(InvalidCursor):
        decode_cursor(cursor)


def test_no_cursor_means_the_beginning() -> None:
    assert decode_cursor(None) is None


def test_page_sizes_are_bounded() -> None:
    assert [clamp_limit(n) for n in (None, -5, 0, 7, 10**9)] == [50, 1, 1, 7, MAX_LIMIT]
