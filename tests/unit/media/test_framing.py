"""Frames of the media link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialroom.media.framing import FrameError, FrameReader, decode_from_media, frame
from dialroom.media.protocol import MAX_FRAME_BYTES


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(min_value=1, max_value=50))
def test_bodies_come_out_whole_however_the_stream_is_cut(bodies: list[bytes], cut: int) -> None:
    stream = b"".join(frame(body) for body in bodies)
    reader = FrameReader()
    seen = [body for start in range(0, len(stream), cut) for body in reader.feed(stream[start : start + cut])]
    assert seen == bodies


def test_a_length_over_the_limit_is_an_error_before_anything_of_it_is_kept() -> None:
    with pytest.raises(FrameError, match="limit"):
        FrameReader().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


@given(st.binary(max_size=60))
def test_noise_is_a_frame_error_and_nothing_else(body: bytes) -> None:
    with pytest.raises(FrameError):
        decode_from_media(body)
