from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from dialroom.core.log import set_up_logging


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(params=["console", "json"])
def lines(request: pytest.FixtureRequest) -> io.StringIO:
    stream = io.StringIO()
    set_up_logging(request.param, "info", stream)
    return stream


@pytest.mark.parametrize(
    "name",
    ["code", "pin", "token", "key", "secret", "authorization", "join_token", "host_key", "API_KEY", "digits", "codes"],
)
def test_a_secret_never_reaches_the_log(lines: io.StringIO, name: str) -> None:
    structlog.get_logger("t").info("x", **{name: "s3cr3t"}, deep={"a": [{name: "s3cr3t"}]})
    assert "s3cr3t" not in lines.getvalue()
    assert lines.getvalue().count("[hidden]") == 2


def test_a_sip_code_is_no_secret(lines: io.StringIO) -> None:
    structlog.get_logger("t").info("x", sip_code=486)
    assert "486" in lines.getvalue()


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[31mred", "nul\x00", "\u2028", "x" * 10_000_000])
def test_a_field_from_outside_makes_exactly_one_bounded_line(lines: io.StringIO, text: str) -> None:
    structlog.get_logger("t").info("x", caller=text)
    written = lines.getvalue()
    assert written.count("\n") == 1
    assert "\x1b[31m" not in written
    assert len(written) < 3000


def test_other_libraries_log_the_same_way(lines: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").warning("GET /?x=%s", "a\nb")
    assert lines.getvalue().count("\n") == 1


def test_a_traceback_cannot_be_taken_for_a_record() -> None:
    stream = io.StringIO()
    set_up_logging("console", "info", stream)
    try:
        raise ValueError("x\n2026-11-21 [info] forged")
    except ValueError:
        structlog.get_logger("t").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert "failed" in first
    assert rest
    assert all(line.startswith("    | ") for line in rest)


def test_json_lines_are_json() -> None:
    stream = io.StringIO()
    set_up_logging("json", "info", stream)
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger("t").exception("failed", room="room_1")
    record = json.loads(stream.getvalue())
    assert record["event"] == "failed"
    assert record["room"] == "room_1"
    assert "boom" in record["exception"]


def test_what_is_below_the_level_is_left_out() -> None:
    stream = io.StringIO()
    set_up_logging("json", "warning", stream)
    structlog.get_logger("t").info("quiet")
    assert stream.getvalue() == ""
