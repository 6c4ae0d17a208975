"""Migration of a database to the newest schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

_SCRIPTS = Path(__file__).parents[2] / "alembic"


def make_config(database_url: str) -> Config:
    """Make the configuration of Alembic for a database, independent of the environment."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["database_url"] = database_url
    return config


def newest_version() -> str | None:
    """Return the newest migration of the code."""
    return ScriptDirectory(str(_SCRIPTS)).get_current_head()


def migrate(database_url: str) -> None:
    """Apply the pending migrations, if there are any."""
    command.upgrade(make_config(database_url), "head")
