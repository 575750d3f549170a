"""SIP, SIPS and tel URIs are read as written and come out the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialroom.sip.errors import SipError
from dialroom.sip.uri import OtherUri, SipUri, TelUri, parse_uri


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.com",
        "sips:alice:secret@example.com:5061;transport=tcp;lr?Subject=a%20b&X-a=b",
        "sip:+15551234;phone-context=x@gw.example.com;user=phone",
        "sip:[2001:db8::1]:5060;transport=udp",
        "sip:node_1",
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
        "tel:+1-555-123;ext=4",
        "urn:service:sos",
    ],
)
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_uri(text)) == text


def test_its_parts_are_told_apart() -> None:
    uri = parse_uri("SIP:a%6Cice;x=1:pw@[::1]:5070;Transport=TCP;lr?Route=x")
    assert isinstance(uri, SipUri)
    assert (uri.scheme, uri.username, uri.password, uri.host, uri.port) == ("sip", "alice", "pw", "[::1]", 5070)
    assert (uri.transport, uri.parameter("lr"), uri.parameter("no"), uri.headers) == ("tcp", "", None, "Route=x")


def test_an_at_sign_in_the_headers_does_not_move_the_host() -> None:
    uri = parse_uri("sip:bob@example.com?X=evil@other")
    assert isinstance(uri, SipUri)
    assert (uri.username, uri.host) == ("bob", "example.com")


def test_a_number_is_the_same_by_tel_and_sip() -> None:
    assert parse_uri("tel:+1(555)123-45.67").username == "+15551234567"
    assert parse_uri("sip:+15551234567;npdi@gw").username == "+15551234567"
    assert parse_uri("tel:202-555-0176;phone-context=+1").username == "+12025550176"
    assert parse_uri("sip:2025550176;Phone-Context=%2B1@gw;user=phone").username == "+12025550176"
    assert parse_uri("sip:+12025550176;phone-context=+44@gw").username == "+12025550176"
    assert parse_uri("sip:1000;phone-context=pbx.example@gw;user=phone").username == "1000"
    assert isinstance(parse_uri("tel:112"), TelUri)
    assert isinstance(parse_uri("isbn:123"), OtherUri)


@pytest.mark.parametrize(
    "text",
    ["", "alice", "sip:", "sip:@host", "sip:a b@host", "sip:a@[::1", "sip:a@host:0", "sip:a@host:99999", "sip:a@h o",
     "sip:a@::1", "sip:a@b@c", "sip:a@[1.2.3.4]", "tel:", "tel:abc@x", "sip:a<b@host", "sip:a@h;=x", "sip:a@h:5 0",
     "sip:a@h;x=a b", "tel:1;x=a b", 'sip:a@h;x="a b"', "sip:a@h;x=a>b", "sip:a@h;x=a\tb"],
)  # fmt: skip
def test_a_malformed_uri_is_refused(text: str) -> None:
    with pytest.raises(SipError):
        parse_uri(text)


@given(st.text(max_size=60))
def test_any_text_is_a_uri_or_raises_the_one_error(text: str) -> None:
    for prefix in ("", "sip:", "sip:a@", "tel:"):
        try:
            uri = parse_uri(prefix + text)
        except SipError:
            continue
        assert parse_uri(str(uri)) == uri
