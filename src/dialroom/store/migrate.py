"""Bring the schema up to date at start.

Alembic is only imported when there is something to do: it costs half a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from dialroom.core.errors import ConfigError

HEAD: Final = "0003"
"""The newest migration. A test keeps it equal to what is in ``migrations/versions``."""

SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK = 0x6469616C  # any constant of our own


def migrate(engine: Engine) -> bool:
    """Run the migrations that are missing, all or none; says whether there were any.

    Raises SQLAlchemy's errors, and ConfigError for a schema that is newer than this program.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # An index of a large table takes longer than any statement of a call may.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if current_version(connection) == HEAD:
            return False
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            detail = f"The database has schema {current_version(connection)!r}, which this version does not know."
            raise ConfigError(detail, "Start the version that made it, or a newer one.") from error
        return True


def current_version(connection: Connection) -> str | None:
    """The version the schema is at, None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
