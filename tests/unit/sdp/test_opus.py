"""What a phone's fmtp asks of the Opus that we send to it."""

from __future__ import annotations

import pytest

from dialroom.sdp.opus import OURS, OpusFormat, parse_opus


def test_who_says_nothing_gets_what_the_rfc_assumes() -> None:
    assert parse_opus("") == OpusFormat(510_000, 48_000, cbr=False, useinbandfec=False, usedtx=False)


def test_everything_that_is_asked_is_read() -> None:
    fmtp = "maxplaybackrate=16000; sprop-maxcapturerate=16000; maxaveragebitrate=20000; stereo=1; useinbandfec=1;"
    assert parse_opus(fmtp + "usedtx=1; CBR = 1") == OpusFormat(
        20_000, 16_000, cbr=True, useinbandfec=True, usedtx=True
    )


@pytest.mark.parametrize(
    ("said", "bitrate"),
    [
        ("0", 510_000),
        ("5999", 510_000),
        ("6000", 6_000),
        ("509999", 509_999),
        ("510000", 510_000),
        ("999999999", 510_000),
        ("9999999999", 510_000),
        ("-1", 510_000),
        ("", 510_000),
        ("²", 510_000),
        ("20k", 510_000),
    ],
)
def test_a_bit_rate_that_opus_does_not_have_is_ignored(said: str, bitrate: int) -> None:
    assert parse_opus(f"maxaveragebitrate={said}").maxaveragebitrate == bitrate


def test_a_flag_is_set_by_one_alone() -> None:
    assert parse_opus("useinbandfec=0;usedtx;cbr=true") == OpusFormat()


def test_a_playback_rate_that_the_rfc_does_not_allow_is_ignored() -> None:
    assert parse_opus("maxplaybackrate=4000").maxplaybackrate == 48_000
    assert parse_opus("maxplaybackrate=8000").maxplaybackrate == 8_000
    assert parse_opus("maxplaybackrate=96000").maxplaybackrate == 48_000


def test_we_ask_for_no_more_than_a_meeting_has() -> None:
    assert parse_opus(OURS) == OpusFormat(maxplaybackrate=16_000, useinbandfec=True)
