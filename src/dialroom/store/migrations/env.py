"""Alembic's entry: migrate over the connection we are handed, inside its transaction."""

from __future__ import annotations

from alembic import context

from dialroom.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
