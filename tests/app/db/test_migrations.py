"""Migrations: they create the schema of the tables and can be reverted."""

from alembic import command
from sqlalchemy import inspect

from app.db.engine import make_engine
from app.db.migrations import make_config, migrate
from app.local.embedded_servers import create_database
from app.local.embedded_servers import database_url as url_of


def test_migrated_schema_matches_the_tables(database_url: str) -> None:
    command.check(make_config(database_url))


def test_migrations_can_be_reverted_and_applied_again(database_url: str) -> None:
    create_database(database_url, "migrations")
    url = url_of(database_url, "migrations")
    config = make_config(url)
    migrate(url)
    command.downgrade(config, "base")
    engine = make_engine(url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate(url)
    assert "jobs" in inspect(engine).get_table_names()
    engine.dispose()
