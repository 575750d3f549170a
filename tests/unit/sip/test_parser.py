"""Bytes to messages: what is read, what is refused and with which status, and nothing but SipError whatever comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialroom.sip.errors import LocalError, SipError
from dialroom.sip.message import Request, Response, respond_to
from dialroom.sip.parser import check_request, check_response, parse

INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP host;branch=z9hG4bK1;rport\r\n"
    b'From: "Alice" <sip:alice@example.com>;tag=1\r\n'
    b"To: <sip:bob@example.com>\r\n"
    b"Call-ID: abc\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:alice@host>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 5\r\n\r\nv=0\r\n"
)


def checked(data: bytes) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    check_request(message)
    return message


def refused(data: bytes) -> int:
    with pytest.raises(SipError) as caught:
        checked(data)
    return caught.value.status


def test_an_unchanged_message_goes_out_as_it_came_in() -> None:
    assert bytes(checked(INVITE)) == INVITE


def test_bytes_that_are_not_utf8_survive() -> None:
    data = INVITE.replace(b'"Alice"', b'"Al\xff\xe9ce"')
    assert b'"Al\xff\xe9ce"' in bytes(checked(data))


def test_compact_names_and_any_case_are_the_same_headers() -> None:
    data = INVITE.replace(b"Via:", b"v:").replace(b"From:", b"F :").replace(b"Call-ID:", b"i:").replace(b"To:", b"tO:")
    request = checked(data)
    assert (request.call_id, request.from_.tag, request.via.branch) == ("abc", "1", "z9hG4bK1")


def test_a_header_name_with_space_before_its_colon_is_still_that_header() -> None:
    assert checked(INVITE.replace(b"Contact:", b"X-Secret \t: v\r\nContact:")).get("x-secret") == "v"


def test_what_follows_the_content_length_is_dropped() -> None:
    assert checked(INVITE + b"INVITE sip:evil SIP/2.0\r\n").body == b"v=0\r\n"


def test_a_body_without_content_length_is_the_rest_of_the_datagram() -> None:
    assert checked(INVITE.replace(b"Content-Length: 5\r\n", b"")).body == b"v=0\r\n"


@pytest.mark.parametrize(
    ("change", "into", "status"),
    [
        (b"Content-Length: 5", b"Content-Length: 6", 400),
        (b"Content-Length: 5", b"Content-Length: -1", 400),
        (b"Content-Length: 5", b"Content-Length: 0x5", 400),
        (b"Content-Length: 5", b"Content-Length: 2147483648", 400),
        (b"Content-Length: 5", b"Content-Length: 5\r\nl: 5", 400),
        (b"CSeq: 1 INVITE", b"CSeq: 4294967296 INVITE", 400),
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE", 400),
        (b"CSeq: 1 INVITE", "CSeq: ¹ INVITE".encode(), 400),
        (b"Call-ID: abc", b"Call-ID: abc\r\nCall-ID: abc", 400),
        (b"Call-ID: abc\r\n", b"", 400),
        (b"Call-ID: abc", b"Call-ID:", 400),
        (b";tag=1", b"", 400),
        (b"Contact", b"Max-Forwards: 256\r\nContact", 400),
        (b"Contact", b"no colon here\r\nContact", 400),
        (b"Contact", b"bad name: x\r\nContact", 400),
        (b"Call-ID: abc", b"Call-ID: a\rbc", 400),
        (b"Call-ID: abc", b"Call-ID: a\nbc", 400),
        (b"sip:bob@example.com SIP/2.0", b"sip:bob@example.com SIP/3.0", 505),
        (b"sip:bob@example.com SIP/2.0", b"sip:bob@exam ple.com SIP/2.0", 400),
        (b"sip:bob@example.com SIP/2.0", b"sip:bob@example.com?X=1 SIP/2.0", 400),
        (b"sip:bob@example.com SIP/2.0", b"sip:bob@[::1 SIP/2.0", 400),
        (b"Contact", b"X-Long: " + b"x" * 9000 + b"\r\nContact", 400),
        (b"Contact", b"X-Many: 1\r\n" * 200 + b"Contact", 513),
        (b"Call-ID: abc", b"Call-ID: " + b"x" * 2000, 400),
    ],
)
def test_what_is_wrong_is_answered_with_the_right_status(change: bytes, into: bytes, status: int) -> None:
    data = INVITE.replace(change, into, 1)
    assert data != INVITE
    assert refused(data) == status


def test_a_refused_request_can_still_be_answered() -> None:
    with pytest.raises(SipError) as caught:
        parse(INVITE.replace(b"Content-Length: 5", b"Content-Length: 500"))
    assert caught.value.partial is not None
    answer = respond_to(caught.value.partial, 400, to_tag="t")
    assert parse(bytes(answer)).to.tag == "t"


def test_a_message_too_large_is_513() -> None:
    assert refused(INVITE + b"x" * 70_000) == 513


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\nb", "a\x00b", "a\rb"])
def test_no_value_of_ours_can_make_a_new_header(value: str) -> None:
    request = Request("INVITE", "sip:a@b")
    with pytest.raises(LocalError):
        request.add("Subject", value)
    with pytest.raises(LocalError):
        request.add("X-" + value, "1")
    with pytest.raises(LocalError):
        bytes(Request("INVITE", value))
    with pytest.raises(LocalError):
        bytes(Response(200, value))


def test_a_response_with_a_status_beyond_699_is_refused() -> None:
    with pytest.raises(SipError):
        parse(b"SIP/2.0 700 no\r\n\r\n")


def test_a_description_inside_a_multipart_body_is_found() -> None:
    body = (
        b"--b1\r\nContent-Type: application/isup\r\n\r\n\x01\x02\r\n"
        b"--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1--\r\n"
    )
    head = INVITE.partition(b"Content-Type")[0]
    request = checked(head + b'Content-Type: multipart/mixed;boundary="b1"\r\n\r\n' + body)
    assert request.sdp == b"v=0\r\n"


@pytest.mark.parametrize("body", [b"", b"--b1--", b"--b1", b"\n--b1\nContent-Type: application/sdp\n\nv=0\n--b1--"])
def test_a_multipart_body_without_usable_parts_has_no_description(body: bytes) -> None:
    head = INVITE.partition(b"Content-Type")[0]
    assert checked(head + b"Content-Type: multipart/mixed;boundary=b1\r\n\r\n" + body).sdp is None
    assert checked(head + b"Content-Type: multipart/mixed\r\n\r\n" + body).sdp is None


def survives(data: bytes) -> None:
    """Any bytes give a message or SipError, and a message can be written and read again."""
    try:
        message = parse(data)
        if isinstance(message, Request):
            check_request(message)
        else:
            check_response(message)
    except SipError:
        return
    again = parse(bytes(message))
    assert [field[::2] for field in again.fields if field[0] != "content-length"] == [
        field[::2] for field in message.fields if field[0] != "content-length"
    ]
    assert again.body == message.body


@given(st.binary(max_size=400))
def test_any_garbage_parses_or_raises_the_one_error(data: bytes) -> None:
    survives(data)


PIECES = [INVITE[i : i + 7] for i in range(0, len(INVITE), 7)]
NASTY = st.sampled_from(
    [b"\r\n", b"\x00", b'"', b"<", b">", b";", b",", b"\\", b"%", b"[", b"]", b":", b" ", b"@", b"\xff", b"?", b"="]
)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(INVITE) - 1), NASTY), min_size=1, max_size=6), st.booleans())
def test_a_message_spoilt_anywhere_parses_or_raises_the_one_error(
    changes: list[tuple[int, bytes]], insert: bool
) -> None:
    data = INVITE
    for at, what in changes:
        data = data[:at] + what + data[at if insert else at + 1 :]
    survives(data)


def test_a_message_of_blanks_is_read_as_fast_as_any_other() -> None:
    """Were the work quadratic, these few messages would take minutes, and everybody's calls would wait."""
    blanks = b"X-Folded: a \r\n \t \r\n  b\r\nX-Blank: " + b" " * 8000 + b"c\r\n"
    for _ in range(20):
        with pytest.raises(SipError):
            parse(INVITE.replace(b"\r\n", b"\r\n" + blanks + b"X-Long: " + b" \t" * 25_000 + b"x\r\n", 1))
    message = parse(INVITE.replace(b"\r\n", b"\r\n" + blanks, 1))
    assert (message.get("x-folded"), message.get("x-blank")) == ("a b", "c")
