"""Entry point of Alembic: run the migrations on the URL of ``app.db.migrations``, else on UNMASK_DATABASE_URL."""

from alembic import context

import app.db.tables  # noqa: F401 (declares all tables)
from app.core.settings import Settings, require_settings
from app.db.engine import Base, make_engine


def run() -> None:
    """Apply the migrations in one transaction."""
    configured_url = context.config.attributes.get("database_url")
    (database_url,) = (configured_url,) if configured_url else require_settings(Settings(), "database_url")
    engine = make_engine(database_url, pool_size=1)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
