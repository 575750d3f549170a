"""The tables. Times are microseconds since 1970 in UTC, JSON is text, secrets are sealed bytes (`vault`).

Plain column types only, so that SQLite and PostgreSQL keep the same thing and migrations read the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """A time as it is stored."""
    return (at - _EPOCH) // _MICROSECOND


def micros_or_none(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def moment(stored: int) -> datetime:
    """A stored time."""
    return _EPOCH + timedelta(microseconds=stored)


def moment_or_none(stored: int | None) -> datetime | None:
    return None if stored is None else moment(stored)


def _id() -> Column[Any]:
    return Column("id", Text, primary_key=True)


def _organisation() -> Column[Any]:
    return Column("organisation", Text, ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False)


def _time(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=nullable)


organisations = Table(
    "organisations",
    metadata,
    _id(),
    _text("name"),
    Column("token_secret", LargeBinary, nullable=False),
    _time("created_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _organisation(),
    _text("name"),
    Column("secret_hash", LargeBinary, nullable=False),
    _time("created_at"),
    _time("revoked_at", nullable=True),
    Index(None, "organisation", "created_at", "id"),
)

rooms = Table(
    "rooms",
    metadata,
    _id(),
    _organisation(),
    _text("name"),
    Column("slug", Text, nullable=False, unique=True),
    Column("dial_in", Boolean, nullable=False),
    _text("code", nullable=True),
    Column("pin", LargeBinary, nullable=True),
    _text("language"),
    _time("opens_at", nullable=True),
    _time("expires_at", nullable=True),
    Column("max_participants", Integer, nullable=False),
    Column("locked", Boolean, nullable=False),
    _text("starts_with"),
    Column("guests", Boolean, nullable=False),
    Column("host_key", LargeBinary, nullable=False),
    _text("metadata"),
    _time("created_at"),
    _time("updated_at"),
    UniqueConstraint("organisation", "code"),
    Index(None, "organisation", "created_at", "id"),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    _organisation(),
    _text("room"),
    _time("started_at"),
    _time("ended_at", nullable=True),
    Index(None, "organisation", "started_at", "id"),
    Index(None, "room", "started_at", "id"),
    Index(None, "ended_at"),
)

participants = Table(
    "participants",
    metadata,
    _id(),
    _organisation(),
    _text("room"),
    Column("session", Text, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    _text("identity"),
    _text("name"),
    _text("kind"),
    _text("role"),
    Column("muted", Boolean, nullable=False),
    Column("hand_raised", Boolean, nullable=False),
    _text("tracks"),
    _text("phone_number", nullable=True),
    _text("call", nullable=True),
    _time("joined_at"),
    _time("left_at", nullable=True),
    _text("left_reason", nullable=True),
    Index(None, "session", "joined_at", "id"),
    Index(None, "session", "identity"),
)

numbers = Table(
    "numbers",
    metadata,
    _id(),
    _organisation(),
    Column("number", Text, nullable=False, index=True),
    _text("display"),
    _text("country", nullable=True),
    _text("language", nullable=True),
    Column("dial_in", Boolean, nullable=False),
    _text("room", nullable=True),
    _time("created_at"),
    UniqueConstraint("organisation", "number"),
)

gateways = Table(
    "gateways",
    metadata,
    _id(),
    _organisation(),
    _text("name"),
    _text("addresses"),
    _text("username", nullable=True),
    Column("password", LargeBinary, nullable=True),
    _text("region", nullable=True),
    _time("created_at"),
    Index(None, "username", unique=True),
)

calls = Table(
    "calls",
    metadata,
    _id(),
    _organisation(),
    _text("state"),
    _text("from_number"),
    _text("to_number"),
    _text("room", nullable=True),
    _text("session", nullable=True),
    _time("received_at"),
    _text("record"),
    Column("resume", LargeBinary, nullable=True),
    Index(None, "organisation", "received_at", "id"),
    Index(None, "organisation", "state", "received_at", "id"),
    Index(None, "organisation", "from_number", "received_at", "id"),
    Index(None, "organisation", "to_number", "received_at", "id"),
    Index(None, "room", "received_at", "id"),
    Index(None, "session", "received_at", "id"),
    Index(None, "received_at"),
)

RUNNING: Final = text("state <> 'ended'")
"""Calls that have not ended, in words that let the database see that the index of them serves."""

Index("ix_calls_running", calls.c.received_at, calls.c.id, sqlite_where=RUNNING, postgresql_where=RUNNING)

events = Table(
    "events",
    metadata,
    _id(),
    _organisation(),
    _text("type"),
    _time("occurred_at"),
    _text("subject"),
    _text("data"),
    Index(None, "organisation", "occurred_at", "id"),
    Index(None, "organisation", "type", "occurred_at", "id"),
    Index(None, "occurred_at"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    _id(),
    _organisation(),
    _text("url"),
    _text("description"),
    _text("filters"),
    Column("enabled", Boolean, nullable=False),
    _text("disabled_reason", nullable=True),
    Column("secret", LargeBinary, nullable=False),
    Column("previous_secret", LargeBinary, nullable=True),
    _time("previous_until", nullable=True),
    Column("failures", Integer, nullable=False),
    _time("retry_at", nullable=True),
    _time("created_at"),
    Index(None, "organisation", "created_at", "id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    _organisation(),
    Column("endpoint", Text, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("event", Text, ForeignKey("events.id", ondelete="CASCADE"), nullable=False),
    _text("subject"),
    _text("state"),
    Column("attempts", Integer, nullable=False),
    _time("due"),
    _time("lease_until", nullable=True),
    _time("created_at"),
    _time("finished_at", nullable=True),
    UniqueConstraint("endpoint", "event"),
    Index(None, "endpoint", "state", "subject", "sequence"),
    Index(None, "endpoint", "state", "due", "sequence"),
    Index(None, "organisation", "endpoint", "created_at", "id"),
    Index(None, "organisation", "created_at", "id"),
    Index(None, "organisation", "state", "created_at", "id"),
    Index(None, "state", "due"),
    Index(None, "event"),
)

_LEASED = deliveries.c.lease_until.is_not(None)

Index("ix_deliveries_leased", deliveries.c.lease_until, sqlite_where=_LEASED, postgresql_where=_LEASED)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("delivery", Text, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False, index=True),
    _time("at"),
    Column("status", Integer, nullable=True),
    _text("error", nullable=True),
    Column("duration_ms", Integer, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("organisation", Text, ForeignKey("organisations.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    _time("started_at"),
    Column("status", Integer, nullable=True),
    Column("body", LargeBinary, nullable=True),
    Index(None, "started_at"),
)

guesses = Table(
    "guesses",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _time("drained_at"),
    _time("told_at", nullable=True),
    Index(None, "drained_at"),
)
