"""Queries every table needs.

Pages run newest first, by time and id, so that new rows never shift a page.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Row, Select, Table, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from dialroom.core.paging import Page, Position, clamp_limit, decode_cursor, encode_cursor
from dialroom.store.tables import micros, moment

T = TypeVar("T")


def read_page(
    connection: Connection,
    query: Select[Any],
    at: Column[Any],
    id_: Column[Any],
    cursor: str | None,
    limit: int | None,
    value: Callable[[Row[Any]], T],
) -> Page[T]:
    """One page of `query`, ordered by the columns `at` and `id_` downwards. Raises InvalidCursor."""
    position = decode_cursor(cursor)
    size = clamp_limit(limit)
    if position is not None:
        query = query.where(tuple_(at, id_) < tuple_(micros(position.at), position.id))
    rows = connection.execute(query.order_by(at.desc(), id_.desc()).limit(size + 1)).all()
    more = len(rows) > size
    rows = rows[:size]
    last = rows[-1]._mapping if more else None
    next_cursor = encode_cursor(Position(moment(last[at]), last[id_])) if last is not None else None
    return Page(tuple(value(row) for row in rows), next_cursor)


def upserting(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the connection's dialect."""
    return _upserting(connection.dialect.name, table)


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows with an ``id``, or write over the ones that are there; their organisation never changes."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0])), rows)


@cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> Any:
    """Made once: putting the statement together takes longer than running it."""
    statement = _upserting(dialect, table)
    changed = {name: statement.excluded[name] for name in columns if name not in ("id", "organisation")}
    return statement.on_conflict_do_update(index_elements=["id"], set_=changed)


def _upserting(dialect: str, table: Table) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
