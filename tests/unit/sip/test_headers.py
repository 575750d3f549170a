"""Via, addresses, CSeq, RAck, parameters and quoted strings."""

from __future__ import annotations

import pytest

from dialroom.sip.errors import LocalError, SipError
from dialroom.sip.headers.cseq import CSeq, parse_cseq, parse_rack
from dialroom.sip.headers.name_addr import NameAddr, parse_name_addr, parse_name_addrs
from dialroom.sip.headers.via import parse_via
from dialroom.sip.text import clean, parameter, parse_parameters, quote, split_outside, unescape, unquote
from dialroom.sip.uri import parse_uri


def test_received_and_rport_are_filled_in_where_asked_for() -> None:
    via = parse_via("SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bKx;rport")
    assert str(via.seen_from("192.0.2.1", 7777)) == (
        "SIP/2.0/UDP 10.0.0.9:5062;branch=z9hG4bKx;rport=7777;received=192.0.2.1"
    )


def test_received_is_filled_in_where_the_host_lies() -> None:
    via = parse_via("SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKx")
    assert via.seen_from("10.0.0.9", 5060) == via
    assert via.seen_from("192.0.2.1", 5060).received == "192.0.2.1"


def test_a_forged_received_is_replaced() -> None:
    via = parse_via("SIP/2.0/UDP 10.0.0.9;received=1.1.1.1;rport=9;branch=z9hG4bKx")
    seen = via.seen_from("192.0.2.1", 5060)
    assert (seen.received, seen.rport) == ("192.0.2.1", 5060)


def test_the_first_via_of_several_in_one_field_is_the_top() -> None:
    via = parse_via("SIP / 2.0 / TCP  spindle.example.com ; branch = z9hG4bK9 , SIP/2.0/UDP x")
    assert (via.transport, via.host, via.branch) == ("tcp", "spindle.example.com", "z9hG4bK9")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP h:0",
        "HTTP/1.1/UDP h",
        "SIP/2.0/UDP h;;a",
        "SIP/3.0/UDP h",
        "SIP/2.0/UDP h;a=\x00",
    ],
)
def test_a_malformed_via_is_refused(text: str) -> None:
    with pytest.raises(SipError):
        parse_via(text)


@pytest.mark.parametrize(
    ("text", "name", "uri", "tag"),
    [
        ('"A. \\"B\\" <x>" <sip:a@h>;tag=1', 'A. "B" <x>', "sip:a@h", "1"),
        ("Alice <sip:a@h;lr>;x=y;tag=2", "Alice", "sip:a@h;lr", "2"),
        ("Bell, Alexander <sip:a@h>;tag=3", "Bell, Alexander", "sip:a@h", "3"),
        ("sip:a@h;tag=4", "", "sip:a@h", "4"),
        ("<sip:a@h>", "", "sip:a@h", None),
        ("<sip:a@h>;tag=", "", "sip:a@h", None),
    ],
)
def test_an_address_is_read(text: str, name: str, uri: str, tag: str | None) -> None:
    address = parse_name_addr(text)
    assert (address.display_name, str(address.uri), address.tag) == (name, uri, tag)
    assert parse_name_addr(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", '"A <sip:a@h>', "<sip:a@h", 'x"y <sip:a@h>', '"a" sip:a@h', "<sip:a@h> x", "sip:a@h?b=c"]
)
def test_a_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(SipError):
        parse_name_addr(text)


def test_a_list_of_addresses_is_split_outside_of_quotes_and_angles() -> None:
    found = parse_name_addrs('"a, b" <sip:a@h;x="1,2">, <tel:+1>, sip:c@h')
    assert [str(address.uri) for address in found] == ['sip:a@h;x="1,2"', "tel:+1", "sip:c@h"]


def test_a_parameter_may_be_called_anything() -> None:
    parameters = parse_parameters(';self;+sip.instance="<urn:uuid:1>";q=0.5')
    assert parameter(parameters, "self") == ""
    assert parameter(parameters, "+sip.instance") == "<urn:uuid:1>"
    assert parameter(parameters, "none") is None


def test_a_display_name_cannot_break_out_of_its_quotes() -> None:
    address = NameAddr(parse_uri("sip:a@h"), 'x" <sip:evil@h>;tag=')
    assert parse_name_addr(str(address)) == address
    with pytest.raises(LocalError):
        str(NameAddr(parse_uri("sip:a@h"), "x\r\nEvil: 1"))


def test_numbers_are_bounded() -> None:
    assert parse_cseq("0009  INVITE") == CSeq(9, "INVITE")
    assert parse_rack("1 2 INVITE") == (1, (2, "INVITE"))
    for bad in ("", "1", "x INVITE", "4294967296 INVITE", "1 IN VITE", "-1 INVITE"):
        with pytest.raises(SipError):
            parse_cseq(bad)


def test_quoting_is_undone_by_unquoting() -> None:
    for text in ("", "plain", 'a"b', "a\\b", '\\"'):
        assert unquote(quote(text)) == text


def test_too_many_values_are_refused() -> None:
    with pytest.raises(SipError):
        split_outside("a," * 100, ",")
    with pytest.raises(SipError):
        parse_parameters(";a" * 100)


def test_text_for_people_has_no_controls_or_bidirectional_marks() -> None:
    assert clean("A\x1b[31m\u202eevil\u0000\r\nB") == "A[31mevilB"
    assert clean("x" * 1000) == "x" * 256
    assert clean("caf\udce9") == "caf\ufffd"


def test_escapes_are_decoded_as_utf8_and_broken_ones_kept() -> None:
    assert unescape("J%C3%BCrgen%20%zz%4") == "Jürgen %zz%4"
