"""A byte stream gives the same messages however it is cut, and is closed when its framing is in doubt."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialroom.sip.errors import SipError
from dialroom.sip.framing import StreamFramer


def message(body: bytes = b"", name: bytes = b"Content-Length") -> bytes:
    return b"INFO sip:a SIP/2.0\r\nX: 1\r\n%s: %d\r\n\r\n%s" % (name, len(body), body)


INNER = message(b"never a request of its own")
STREAM = (
    b"\r\n\r\n"
    + message()
    + b"\r\n"
    + message(INNER)
    + message(b"x", b"l")
    + b"\r\n\r\n"
    + message(b"\r\n\r\n", b"CONTENT-LENGTH ")
)
EXPECTED = [message(), message(INNER), message(b"x", b"l"), message(b"\r\n\r\n", b"CONTENT-LENGTH ")]


def read(chunks: list[bytes]) -> tuple[list[bytes], int]:
    framer = StreamFramer()
    messages, pings = [], 0
    for chunk in chunks:
        found, asked = framer.receive(chunk)
        messages += found
        pings += asked
    return messages, pings


@pytest.mark.parametrize("at", range(len(STREAM)))
def test_a_stream_cut_at_any_byte_gives_the_same_messages(at: int) -> None:
    assert read([STREAM[:at], STREAM[at:]])[0] == EXPECTED


def test_a_stream_that_comes_byte_by_byte_gives_the_same_messages() -> None:
    assert read([bytes([byte]) for byte in STREAM])[0] == EXPECTED


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12))
def test_a_stream_cut_in_many_places_gives_the_same_messages(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read([STREAM[a:b] for a, b in itertools.pairwise(edges)])[0] == EXPECTED


def test_two_empty_lines_between_messages_want_a_pong() -> None:
    assert read([STREAM])[1] == 2
    assert read([b"\r\n", b"\r\n"])[1] == 1


def test_a_folded_content_length_is_read() -> None:
    data = b"INFO sip:a SIP/2.0\r\nContent-Length:\r\n 2\r\n\r\nxy"
    assert read([data])[0] == [data]


@pytest.mark.parametrize(
    "lines",
    [
        b"X: 1",
        b"Content-Length: -1",
        b"Content-Length: 1e3",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nl: 6",
        b"Content-Length: 999999999",
        b"Content-Length:",
    ],
)
def test_a_stream_whose_framing_is_in_doubt_is_dead(lines: bytes) -> None:
    framer = StreamFramer()
    with pytest.raises(SipError):
        framer.receive(b"INFO sip:a SIP/2.0\r\n" + lines + b"\r\n\r\n" + message())
    with pytest.raises(SipError):
        framer.receive(message())


def test_messages_before_the_fault_are_still_given() -> None:
    framer = StreamFramer()
    assert framer.receive(message() + b"INFO sip:a SIP/2.0\r\n\r\n") == ([message()], 0)
    assert framer.dead is not None


def test_a_header_that_never_ends_is_not_collected_for_ever() -> None:
    framer = StreamFramer()
    for _ in range(65):
        framer.receive(b"X: " + b"y" * 1000)
    with pytest.raises(SipError):
        framer.receive(b"y" * 1000)


@given(st.binary(max_size=300))
def test_any_garbage_is_framed_or_raises_the_one_error(data: bytes) -> None:
    framer = StreamFramer()
    try:
        framer.receive(data)
    except SipError:
        assert framer.dead is not None
