"""Dialogs: route sets, numbering, and where requests go."""

from __future__ import annotations

import msgspec
import pytest

from dialroom.sip.address import Address
from dialroom.sip.dialog import Dialog
from dialroom.sip.errors import SipError
from dialroom.sip.message import Request, Response
from dialroom.sip.parser import parse

SOURCE = Address("udp", "203.0.113.9", 5070)


def invite(contact: str = "<sip:alice@203.0.113.9:5070>", extra: str = "") -> Request:
    message = parse(
        "INVITE sip:bob@us SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        'From: "A, B" <sip:alice@h>;tag=their;x=1\r\nTo: <sip:bob@us>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\n'
        f"Contact: {contact}\r\n{extra}Content-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


def dialog(contact: str = "<sip:alice@203.0.113.9:5070>", extra: str = "", source: Address = SOURCE) -> Dialog:
    return Dialog.of_request(invite(contact, extra), local_tag="ours", source=source)


ROUTES = "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\n"


def test_a_request_of_the_called_party_goes_back_by_the_recorded_route() -> None:
    _, bye = dialog(extra=ROUTES).next_request("BYE")
    assert bye.target == "sip:alice@203.0.113.9:5070"
    assert bye.all("route") == ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]
    assert (bye.get("from"), bye.get("to")) == ("<sip:bob@us>;tag=ours", '"A, B" <sip:alice@h>;x=1;tag=their')


def test_a_request_of_the_caller_takes_the_route_in_reverse() -> None:
    response = parse(
        f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=their\r\nTo: <sip:b@us>;tag=b\r\n"
        f"Call-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:b@host>\r\n{ROUTES}Content-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(response, Response)
    made = Dialog.of_response(invite(), response, source=SOURCE)
    assert made.route_set == ("<sip:p3;lr>", "<sip:p2;lr>", "<sip:p1;lr>")
    assert made.next_request("BYE")[1].cseq.number == 8
    assert made.next_hop() == Address("udp", "p3", 5060)


def test_a_strict_router_gets_itself_as_request_uri() -> None:
    _, bye = dialog(extra="Record-Route: <sip:strict>\r\nRecord-Route: <sip:p2;lr>\r\n").next_request("BYE")
    assert bye.target == "sip:strict"
    assert bye.all("route") == ["<sip:p2;lr>", "<sip:alice@203.0.113.9:5070>"]


def test_numbers_go_up_and_an_old_one_is_out_of_order() -> None:
    made = dialog()
    made, first = made.next_request("INFO")
    made, second = made.next_request("BYE")
    assert (first.cseq.number, second.cseq.number) == (1, 2)
    assert made.receive(invite(), SOURCE) is None


@pytest.mark.parametrize(
    ("contact", "source", "expected"),
    [
        ("sip:a@203.0.113.9:5070", "203.0.113.9", ("203.0.113.9", 5070)),
        ("sip:a@198.51.100.1", "203.0.113.9", ("198.51.100.1", 5060)),
        ("sip:a@192.168.1.5:5062", "45.60.70.80", ("45.60.70.80", 5070)),
        ("sip:a@192.168.1.5:5062", "10.1.1.1", ("192.168.1.5", 5062)),
        ("sip:a@100.64.7.8:5062", "45.60.70.80", ("45.60.70.80", 5070)),
        ("sip:a@192.168.1.5:5062", "100.64.7.8", ("100.64.7.8", 5070)),
        ("sip:a@100.64.7.9:5062", "100.64.7.8", ("100.64.7.9", 5062)),
        ("sip:a@45.60.70.80:5061;transport=tls", "45.60.70.80", ("45.60.70.80", 5070)),
        ("sips:a@45.60.70.80", "45.60.70.80", ("45.60.70.80", 5070)),
        ("sip:a@df7jal23ls0d.invalid;transport=ws", "45.60.70.80", ("45.60.70.80", 5070)),
        ("sip:a@0.0.0.0", "10.1.1.1", ("10.1.1.1", 5070)),
        ("sip:a@127.0.0.1:5062", "10.1.1.1", ("10.1.1.1", 5070)),
        ("sip:a@[2001:db8::1]:5062", "2001:db8::1", ("2001:db8::1", 5062)),
        ("sip:a@phone.example.com", "203.0.113.9", ("phone.example.com", 5060)),
        ("tel:+1555", "203.0.113.9", ("203.0.113.9", 5070)),
    ],
)
def test_requests_go_to_the_contact_unless_only_the_way_back_can_reach_it(
    contact: str, source: str, expected: tuple[str, int]
) -> None:
    hop = dialog(f"<{contact}>", source=Address("udp", source, 5070)).next_hop()
    assert (hop.host, hop.port) == expected


def test_an_open_stream_is_used_again_and_a_closed_one_is_not() -> None:
    made = dialog("<sip:a@203.0.113.9;transport=tcp>", source=Address("tcp", "203.0.113.9", 40000, 3))
    assert made.next_hop({3}).connection == 3
    assert made.next_hop({4}) == Address("tcp", "203.0.113.9", 5060)


def test_an_invite_without_contact_founds_no_dialog() -> None:
    with pytest.raises(SipError):
        dialog("*")


def test_too_many_or_malformed_routes_are_refused() -> None:
    for extra in ("Record-Route: <sip:p;lr>\r\n" * 40, "Record-Route: <sip:p\r\n", "Record-Route: x y\r\n"):
        with pytest.raises(SipError):
            dialog(extra=extra)


def test_a_dialog_can_be_stored() -> None:
    made = dialog(extra=ROUTES)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Dialog) == made
