"""``unmask serve``: the whole service on one machine, with nothing installed beside Python packages."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.core.settings import Settings
from app.core.shutdown import Stop
from app.db.migrations import migrate
from app.local.embedded_servers import embedded_postgres, embedded_valkey, find_or_make_secret, hold_data_dir
from app.local.supervisor import Supervisor

API_KEY_FILE = "api-key"
_DATABASE_URL_FILE = "database-url"
_KEY_PREFIX = "umk_"


def find_api_key(settings: Settings) -> str | None:
    """The key of the settings, or the one that ``unmask serve`` made."""
    if settings.api_key:
        return settings.api_key.get_secret_value()
    path = settings.data_dir / API_KEY_FILE
    return path.read_text().strip() if path.exists() else None


def find_database_url(settings: Settings) -> str | None:
    """The database of the settings, or that of the ``unmask serve`` which runs in the data directory."""
    path = settings.data_dir / _DATABASE_URL_FILE
    return settings.database_url or (path.read_text() if path.exists() else None)


def find_or_make_api_key(data_dir: Path) -> str:
    """The key of a data directory, made on first use."""
    return find_or_make_secret(data_dir / API_KEY_FILE, prefix=_KEY_PREFIX)


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Runs until Ctrl-C or SIGTERM; data stays in the data directory.

    Raises:
        AlreadyServingError: The data directory is in use.
        ChildKeepsDyingError: The API or the worker does not stay up.
    """
    # A start is finished before it is undone: a server that is interrupted half-way is one that nobody stops.
    stop = Stop.on_signals()
    with _environment(settings, say) as environment:
        commands = {name: [sys.executable, "-m", "app.cli.main", name] for name in ("api", "worker", "webhooks")}
        supervisor = Supervisor(commands, environment, stop)
        url = f"http://{settings.api_host}:{settings.api_port}"
        say(f"Unmask runs at {url}  (documentation: {url}/docs). Ctrl-C stops it.")
        supervisor.run()
        say("Stopping the database and the queue.")


@contextmanager
def _environment(settings: Settings, say: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """The children's environment; servers that the settings do not name are started for as long as it is used."""
    data_dir = settings.data_dir.resolve()
    with ExitStack() as stack:
        stack.enter_context(hold_data_dir(data_dir))
        database_url = settings.database_url
        if not database_url:
            say("Starting PostgreSQL.")
            database_url = stack.enter_context(embedded_postgres(data_dir / "postgres"))
            stack.enter_context(_note(data_dir / _DATABASE_URL_FILE, database_url))
        redis_url = settings.redis_url
        if not redis_url:
            say("Starting Valkey.")
            redis_url = stack.enter_context(embedded_valkey(data_dir / "valkey"))
        migrate(database_url)
        yield dict(os.environ) | {
            "PYTHONUNBUFFERED": "1",
            "UNMASK_DATABASE_URL": database_url,
            "UNMASK_REDIS_URL": redis_url,
            "UNMASK_STORAGE_URL": settings.storage_url or (data_dir / "clips").as_uri(),
            "UNMASK_API_KEY": _api_key(settings, data_dir, say),
        }


@contextmanager
def _note(path: Path, text: str) -> Iterator[None]:
    """Writes a file for the commands of this folder, for as long as it is true."""
    path.write_text(text)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _api_key(settings: Settings, data_dir: Path, say: Callable[[str], None]) -> str:
    if settings.api_key:
        say("The API key is the one in UNMASK_API_KEY.")
        return settings.api_key.get_secret_value()
    say(f"The API key is in {data_dir / API_KEY_FILE}")
    return find_or_make_api_key(data_dir)
