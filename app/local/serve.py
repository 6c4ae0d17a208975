"""``unmask serve``: the whole service on one machine, with Python packages as the only installation."""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.core.settings import Settings
from app.core.shutdown import Stop
from app.db.migrations import migrate
from app.local.embedded_servers import (
    ServerDiedError,
    embedded_postgres,
    embedded_valkey,
    find_or_make_secret,
    lock_data_dir,
    require_listening,
)
from app.local.supervisor import Supervisor

API_KEY_FILE = "api-key"
_DATABASE_URL_FILE = "database-url"
_KEY_PREFIX = "umk_"
_FAILURES_MAX = 3
"""Number of failed checks, one per second, after which an embedded server counts as ended."""


class PortInUseError(Exception):
    """Address on which the API cannot listen."""


def find_api_key(settings: Settings) -> str | None:
    """Return the API key of the settings, else the one that ``unmask serve`` made."""
    if settings.api_key:
        return settings.api_key.get_secret_value()
    path = settings.data_dir / API_KEY_FILE
    return path.read_text().strip() if path.exists() else None


def find_database_url(settings: Settings) -> str | None:
    """Return the database URL of the settings, else that of a running ``unmask serve`` with this data directory."""
    path = settings.data_dir / _DATABASE_URL_FILE
    return settings.database_url or (path.read_text() if path.exists() else None)


def find_or_make_api_key(data_dir: Path) -> str:
    """Return the API key of a data directory; create it on first use."""
    return find_or_make_secret(data_dir / API_KEY_FILE, prefix=_KEY_PREFIX)


def serve(settings: Settings, on_message: Callable[[str], None], stop: Stop) -> None:
    """Run the service until Ctrl-C or SIGTERM; data stays in the data directory.

    Args:
        settings: Settings of the service.
        on_message: Callback for messages to the user.
        stop: Flag that signal handlers set. It delays the stop until a started server can be stopped: an interrupted
            start would leave it running.

    Raises:
        AlreadyServingError: The data directory is in use.
        PortInUseError: The API cannot listen on its address.
        CrashLoopError: A process of the service exits again and again.
        ServerDiedError: An embedded server has ended.
    """
    with _environment(settings, on_message) as environment:
        commands = {name: [sys.executable, "-m", "app.cli.main", name] for name in ("api", "worker", "webhooks")}
        supervisor = Supervisor(commands, environment, stop, check=_ServerCheck(settings, environment))
        url = f"http://{settings.api_host}:{settings.api_port}"
        on_message(f"Starting the API at {url} (documentation: {url}/docs). Press Ctrl-C to stop.")
        supervisor.run()
        on_message("Stopping the database and the queue.")


class _ServerCheck:
    """Check of the servers that ``serve`` started. Jobs would wait for ever if one has ended."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._urls = {}
        if not settings.database_url:
            self._urls["PostgreSQL"] = environment["UNMASK_DATABASE_URL"]
        if not settings.redis_url:
            self._urls["Valkey"] = environment["UNMASK_REDIS_URL"]
        self._failures = 0

    def __call__(self) -> None:
        """Raise ServerDiedError if a server has refused connections several times: once, it may only be busy."""
        try:
            for name, url in self._urls.items():
                require_listening(name, url)
        except ServerDiedError:
            self._failures += 1
            if self._failures >= _FAILURES_MAX:
                raise
        else:
            self._failures = 0


def check_port(host: str, port: int) -> None:
    """Raise PortInUseError if no server can listen on the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise PortInUseError(
            f"The API cannot listen on {host}:{port}: {error.strerror}. Stop the other process, or set UNMASK_API_PORT."
        ) from error


@contextmanager
def _environment(settings: Settings, on_message: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Start the servers that the settings do not name; yield the environment of the child processes."""
    data_dir = settings.data_dir.resolve()
    with ExitStack() as stack:
        stack.enter_context(lock_data_dir(data_dir))
        check_port(settings.api_host, settings.api_port)
        database_url = settings.database_url
        if not database_url:
            on_message("Starting PostgreSQL.")
            database_url = stack.enter_context(embedded_postgres(data_dir / "postgres"))
            stack.enter_context(_published_file(data_dir / _DATABASE_URL_FILE, database_url))
        redis_url = settings.redis_url
        if not redis_url:
            on_message("Starting Valkey.")
            redis_url = stack.enter_context(embedded_valkey(data_dir / "valkey"))
        migrate(database_url)
        yield dict(os.environ) | {
            "PYTHONUNBUFFERED": "1",
            "UNMASK_DATABASE_URL": database_url,
            "UNMASK_REDIS_URL": redis_url,
            "UNMASK_STORAGE_URL": settings.storage_url or (data_dir / "clips").as_uri(),
            "UNMASK_API_KEY": _find_or_make_api_key(settings, data_dir, on_message),
        }


@contextmanager
def _published_file(path: Path, text: str) -> Iterator[None]:
    """Write a file that other commands read; delete it at the end of the context."""
    path.touch(mode=0o600)
    path.write_text(text)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _find_or_make_api_key(settings: Settings, data_dir: Path, on_message: Callable[[str], None]) -> str:
    if settings.api_key:
        on_message("The API key is the value of UNMASK_API_KEY.")
        return settings.api_key.get_secret_value()
    on_message(f"The API key is in {data_dir / API_KEY_FILE}.")
    return find_or_make_api_key(data_dir)
