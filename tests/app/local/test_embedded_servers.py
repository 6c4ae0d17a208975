"""Embedded servers: a server that has ended is noticed."""

from pathlib import Path

import pytest

from app.local.embedded_servers import ServerDiedError, make_valkey, require_listening, start_valkey, valkey_url


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
