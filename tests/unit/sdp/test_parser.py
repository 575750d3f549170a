"""Session descriptions are read as phones write them, and written as RFC 8866 wants."""

from __future__ import annotations

import pytest

from dialroom.sdp.builder import build
from dialroom.sdp.description import Attribute, Media, Origin, SessionDescription
from dialroom.sdp.errors import SdpError
from dialroom.sdp.parser import parse

HEAD = "v=0\r\no=- 1 2 IN IP4 h\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\n"


def test_a_description_is_written_as_it_was_read() -> None:
    text = HEAD + "a=tool:x\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP6 ::1\r\na=sendonly\r\na=ptime:20\r\n"
    assert build(parse(text.encode())) == text.encode()


def test_line_ends_of_other_systems_and_blank_lines_are_read() -> None:
    assert parse(HEAD.replace("\r\n", "\n").encode()) == parse(HEAD.encode()) == parse((HEAD + "\r\n\r\n").encode())


def test_a_session_id_that_is_no_number_is_read_all_the_same() -> None:
    first = parse(HEAD.replace("1 2", "abc 2").encode()).origin
    assert first.version == 2
    assert first == parse(HEAD.replace("1 2", "abc 2").encode()).origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=1\r\n",
        "v=0\r\n",
        HEAD.replace("o=- 1 2 IN IP4 h", "o=x"),
        HEAD.replace("c=IN IP4 1.2.3.4", "c=1.2.3.4"),
        HEAD.replace("c=IN IP4 1.2.3.4", "c=IN IP4 a b"),
        HEAD + "m=audio 4000\r\n",
        HEAD + "m=audio 70000 RTP/AVP 0\r\n",
        HEAD + "m=audio -1 RTP/AVP 0\r\n",
        HEAD + "m =audio 1 RTP/AVP 0\r\n",
        HEAD + "m=audio 1 RTP/AVP 0\r\na=fmtp:0 \x00\r\n",
        HEAD + "m=audio 1 RTP/AVP 0\r\n" * 40,
        HEAD + "a=x\r\n" * 2000,
        HEAD + "m=audio 1 RTP/AVP" + " 0" * 100 + "\r\n",
        HEAD + "a=" + "x" * 40_000 + "\r\n",
    ],
)
def test_what_cannot_be_read_raises_the_one_error(text: str) -> None:
    with pytest.raises(SdpError):
        parse(text.encode())


@pytest.mark.parametrize("value", ["x\r\na=evil", "x\ny", "x\x00"])
def test_no_value_can_make_a_new_line(value: str) -> None:
    description = SessionDescription(Origin("-", 1, 1, "h"), (Media("audio", 1, "RTP/AVP", ("0",)),))
    spoilt = (
        SessionDescription(Origin(value, 1, 1, "h"), ()),
        SessionDescription(description.origin, (), address=value),
        SessionDescription(description.origin, (), attributes=(Attribute("a", value),)),
        SessionDescription(description.origin, (Media("audio", 1, value, ("0",)),)),
    )
    for bad in spoilt:
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            build(bad)
