"""Embedded servers: a server that has ended is noticed."""

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from app.db.engine import make_engine
from app.local.embedded_servers import (
    AlreadyServingError,
    ServerDiedError,
    embedded_postgres,
    lock_data_dir,
    make_valkey,
    require_listening,
    start_valkey,
    valkey_url,
)
from tests.support.processes import crash_postgres
from tests.support.waiting import wait_until


def can_connect(engine: Engine) -> bool:
    try:
        with engine.connect():
            return True
    except OperationalError:
        return False


def test_running_servers_are_listening(database_url: str, redis_url: str) -> None:
    require_listening("PostgreSQL", database_url)
    require_listening("Valkey", redis_url)


def test_ended_server_raises_with_its_name(tmp_path: Path) -> None:
    server = make_valkey(tmp_path)
    start_valkey(server)
    require_listening("Valkey", valkey_url(server))
    server.stop()
    with pytest.raises(ServerDiedError, match="Valkey"):
        require_listening("Valkey", valkey_url(server))


@pytest.mark.parametrize("url", ["postgresql://u@/d?host=/nonexistent", "postgresql://u@127.0.0.1:9/d"])
def test_database_without_server_raises(url: str) -> None:
    with pytest.raises(ServerDiedError, match="PostgreSQL"):
        require_listening("PostgreSQL", url)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the permissions of other folders")
def test_folders_above_the_database_are_entered_but_not_listed_by_others(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with embedded_postgres(private / "data") as url:
        assert private.stat().st_mode & 0o777 == 0o711
        engine = make_engine(url)
        with engine.connect():
            crash_postgres(private)  # the server must open its files again
        wait_until(lambda: can_connect(engine))
        engine.dispose()


def test_data_directory_in_use_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with lock_data_dir(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        folder.chmod(0o711)  # as the server of root needs it
        with pytest.raises(AlreadyServingError, match="in use"), lock_data_dir(folder):
            pass
        assert folder.stat().st_mode & 0o777 == 0o711
