"""Logs: one line per record, as text for people or JSON for machines, and no secret in any of them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

_SECRET = re.compile(
    r"(^|_)(code|pin|token|key|secret|password|authorization|cookie|digits|crypto)s?($|_)", re.IGNORECASE
)
_NOT_SECRET = frozenset({"sip_code", "status_code", "error_code", "close_code", "keys_total", "key_id", "subject_key"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_TEXT = 2000
_HIDDEN = "[hidden]"


def set_up_logging(format_: Literal["console", "json"], level: str = "info", stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's records, uvicorn's among them, to `stream` (stderr)."""
    stream = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    plain = format_ == "json"
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=False,
    )
    renderer: Any = structlog.processors.JSONRenderer() if plain else _console(stream)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            hide_secrets,
            *((one_line,) if plain else (indent_exception, one_line)),
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx2", "httpcore2", "alembic", "sqlalchemy", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def hide_secrets(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide the value of every field, however deep, that is named like a code, PIN, token, key or secret."""
    for name, value in record.items():
        record[name] = _HIDDEN if _is_secret(name) else _hidden_inside(value)
    return record


def one_line(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write control characters as escapes and cut long texts, so that nobody can forge or flood log lines."""
    for name, value in record.items():
        if not isinstance(value, _Indented):
            record[name] = _clean(value, 20 * _MAX_TEXT if name == "exception" else _MAX_TEXT)
    return record


class _Indented(str):
    """Text of several lines, none of which can be taken for a record."""

    __slots__ = ()


def indent_exception(_logger: Any, _method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep a traceback's lines for people, each marked as belonging to the record above."""
    if isinstance(text := record.get("exception"), str):
        lines = text[: 20 * _MAX_TEXT].split("\n")
        record["exception"] = _Indented("\n".join(f"    | {_clean(line, _MAX_TEXT)}" for line in lines))
    return record


def _console(stream: TextIO) -> Any:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )


def _is_secret(name: str) -> bool:
    return name not in _NOT_SECRET and _SECRET.search(name) is not None


def _hidden_inside(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _HIDDEN if _is_secret(str(k)) else _hidden_inside(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden_inside(item) for item in value]
    return value


def _clean(value: Any, limit: int) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, Mapping):
        return {_clean(str(k), 100): _clean(v, limit) for k, v in list(value.items())[:100]}
    if isinstance(value, list | tuple):
        return [_clean(item, limit) for item in value[:100]]
    text = str(value)
    if len(text) > limit:
        text = f"{text[:limit]}… ({len(text)} characters)"
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
