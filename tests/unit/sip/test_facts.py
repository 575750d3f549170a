"""What a request says about itself, as plain values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialroom.sip.address import Address
from dialroom.sip.facts import RequestFacts, read_facts
from dialroom.sip.message import Request
from dialroom.sip.parser import parse

CODE = "482913657"


def facts(uri: str) -> RequestFacts:
    """Of an INVITE to this URI, in its first line and in To."""
    text = f"INVITE {uri} SIP/2.0\r\nTo: <{uri}>\r\nFrom: <sip:ada@192.0.2.9>;tag=a\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
    request = parse(text.encode() + b"Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(request, Request)
    return read_facts(request, Address("udp", "192.0.2.9", 5060))


@pytest.mark.parametrize(
    ("uri", "called"),
    [
        (f"sip:1000,,{CODE}@example.com", "1000"),
        (f"sip:+12025550176%2C%2C{CODE}%23@example.com", "+12025550176"),
        ("sip:1000%2C%34%38%32%39%31%33%36%35%37@example.com", "1000"),
        (f"sip:1000;{CODE}@example.com", "1000"),
        (f"sip:1000p{CODE}@example.com", "1000"),
        (f"sip:2025550176;phone-context=+1;postd=pp{CODE}@example.com", "+12025550176"),
        (f"sip:1000@example.com;postd=pp{CODE}", "1000"),
        (f"tel:+12025550176;postd=pp{CODE}", "+12025550176"),
    ],
)
def test_a_code_that_was_dialled_with_the_number_is_not_told(uri: str, called: str) -> None:
    read = facts(uri)
    assert (read.request_user, read.to_user) == (called, called)
    assert CODE not in repr(read)
    assert "%34%38%32%39" not in repr(read)


@pytest.mark.parametrize("uri", ["sip:room%2012@example.com;transport=tcp", "sip:+12025550176;npdi@192.0.2.1:5070"])
def test_what_was_called_without_a_code_is_told_as_it_came(uri: str) -> None:
    assert facts(uri).to_uri == uri


@given(st.binary(min_size=1, max_size=30))
def test_no_user_part_breaks_the_reader(user: bytes) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in user) + "%2c,1234"
    assert facts(f"sip:{escaped}@example.com").to_uri.endswith("@example.com")
