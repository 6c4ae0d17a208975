"""Runs the migrations on the database of UNMASK_DATABASE_URL, or on the URL that ``app.db.migrations`` gives."""

from alembic import context

import app.db.tables  # noqa: F401 (all declare tables)
from app.core.settings import Settings, require_settings
from app.db.engine import Base, make_engine


def run() -> None:
    """Applies the migrations in one transaction."""
    given = context.config.attributes.get("database_url")
    (database_url,) = (given,) if given else require_settings(Settings(), "database_url")
    engine = make_engine(database_url, pool_size=1)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
