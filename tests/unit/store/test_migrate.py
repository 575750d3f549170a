from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from dialroom.core.errors import ConfigError
from dialroom.store.migrate import HEAD, SCRIPTS, current_version, migrate
from dialroom.store.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    sqlite = request.param == "sqlite"
    engine = create_engine(f"sqlite:///{tmp_path / 'new.db'}" if sqlite else request.getfixturevalue("postgres_url"))
    yield engine
    engine.dispose()


def test_migrations_make_the_tables_the_program_uses(engine: Engine) -> None:
    assert migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert current_version(connection) == HEAD


def test_a_schema_that_is_up_to_date_is_left_alone(engine: Engine) -> None:
    migrate(engine)
    assert not migrate(engine)


def test_the_version_looked_for_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_can_be_undone(engine: Engine) -> None:
    from alembic import command

    migrate(engine)
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]


def test_a_database_of_a_newer_version_is_not_touched(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="9999"):
        migrate(engine)
    with engine.connect() as connection:
        assert current_version(connection) == "9999"


def test_gateways_that_shared_a_username_keep_it_once(engine: Engine) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO organisations (id, name, token_secret, created_at) VALUES ('org', 'o', :secret, 1)"),
            {"secret": b"s"},
        )
        for id_, username, created_at in (
            ("gw_b", "trunk", 1),
            ("gw_a", "trunk", 1),
            ("gw_c", None, 1),
            ("gw_d", "x", 2),
        ):
            connection.execute(
                text(
                    "INSERT INTO gateways (id, organisation, name, addresses, username, created_at)"
                    " VALUES (:id, 'org', 'n', '[]', :username, :at)"
                ),
                {"id": id_, "username": username, "at": created_at},
            )
    assert migrate(engine)
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT id, username FROM gateways ORDER BY id")).all()
    assert [tuple(row) for row in kept] == [("gw_a", "trunk"), ("gw_b", "trunk~gw_b"), ("gw_c", None), ("gw_d", "x")]


def test_a_migration_may_take_longer_than_a_statement_of_a_call(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    limits: list[str] = []

    def upgrade(config: Config, _revision: str) -> None:
        limits.append(config.attributes["connection"].execute(text("SHOW statement_timeout")).scalar_one())

    monkeypatch.setattr(command, "upgrade", upgrade)
    engine = create_engine(postgres_url, connect_args={"options": "-c statement_timeout=10000"})
    assert migrate(engine)
    assert limits == ["0"]
    with engine.connect() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "10s"
    engine.dispose()
