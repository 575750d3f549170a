"""Queries every table needs.

Pages run newest first, by time and id, so that new rows never shift a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Table, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from dialroom.core.errors import InvalidCursor
from dialroom.core.paging import Page, Position, clamp_limit, decode_cursor, encode_cursor
from dialroom.store.tables import micros, moment

T = TypeVar("T")

_MOST_DIGITS = 18
"""Of a number that surely fits into a database's eight bytes."""


def read_page(
    connection: Connection,
    query: Select[Any] | Sequence[Select[Any]],
    at: Column[Any],
    id_: Column[Any],
    cursor: str | None,
    limit: int | None,
    value: Callable[[Row[Any]], T],
) -> Page[T]:
    """One page of `query`, ordered by the columns `at` and `id_` downwards. Raises InvalidCursor.

    Of several queries: what any of them finds. Each is read by its own index, which no OR would be.
    """
    position = decode_cursor(cursor)
    size = clamp_limit(limit)
    found: dict[Any, Row[Any]] = {}
    for each in (query,) if isinstance(query, Select) else query:
        if position is not None:
            each = each.where(tuple_(at, id_) < tuple_(micros(position.at), _key(id_, position.id)))
        rows = connection.execute(each.order_by(at.desc(), id_.desc()).limit(size + 1)).all()
        found.update((row._mapping[id_], row) for row in rows)
    rows = sorted(found.values(), key=lambda row: (row._mapping[at], row._mapping[id_]), reverse=True)
    more = len(rows) > size
    rows = rows[:size]
    last = rows[-1]._mapping if more else None
    next_cursor = encode_cursor(Position(moment(last[at]), str(last[id_]))) if last is not None else None
    return Page(tuple(value(row) for row in rows), next_cursor)


def _key(column: Column[Any], text: str) -> Any:
    """The id in a cursor, as `column` holds it. Raises InvalidCursor for one of another list."""
    if column.type.python_type is not int:
        return text
    if not (text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise InvalidCursor
    return int(text)


def upserting(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the connection's dialect."""
    return upserting_in(connection.dialect.name, table)


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]], fixed: tuple[str, ...] = ()) -> None:
    """Insert rows with an ``id``, or write over the ones that are there.

    Their organisation and what is in `fixed` never changes, which spares the indexes.
    """
    if rows:
        connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0]), fixed), rows)


@cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...], fixed: tuple[str, ...]) -> Any:
    """Made once: putting the statement together takes longer than running it."""
    statement = upserting_in(dialect, table)
    kept = ("id", "organisation", *fixed)
    changed = {name: statement.excluded[name] for name in columns if name not in kept}
    return statement.on_conflict_do_update(index_elements=["id"], set_=changed)


def upserting_in(dialect: str, table: Table) -> Any:
    """The same for a dialect by its name."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def delete_oldest(
    connection: Connection, at: Column[Any], before: datetime, limit: int, *where: ColumnElement[bool]
) -> int:
    """Delete at most `limit` rows whose time `at` is before this, oldest first; returns how many."""
    key = tuple(at.table.primary_key)
    oldest = select(*key).where(at < micros(before), *where).order_by(at).limit(limit)
    these = tuple_(*key) if len(key) > 1 else key[0]
    # The time once more: PostgreSQL asks this, and not the subquery, of a row that was changed while it waited for it.
    return connection.execute(delete(at.table).where(these.in_(oldest), at < micros(before))).rowcount
