"""Brings a database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

_SCRIPTS = Path(__file__).parents[2] / "alembic"


def make_config(database_url: str) -> Config:
    """Alembic's configuration for a database, whatever the environment says."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["database_url"] = database_url
    return config


def newest_version() -> str | None:
    """The migration that this code was written for."""
    return ScriptDirectory(str(_SCRIPTS)).get_current_head()


def migrate(database_url: str) -> None:
    """Runs what has not run yet; a database that is up to date is left alone."""
    command.upgrade(make_config(database_url), "head")
