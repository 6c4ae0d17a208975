"""Fixtures for all tests: real PostgreSQL and Valkey, the API, rendered clips."""

from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from app.core.settings import Settings
from app.db.engine import Base, make_engine, make_sessions
from app.db.migrations import migrate
from app.infra.clip_storage import ClipStorage
from app.local.embedded_servers import embedded_postgres, embedded_valkey
from tests.support.api import make_client
from tests.support.catalogue import RENDERERS
from tests.support.documents import NOT_RUN, find_not_run

API_KEY = "umk_test"

# Deadlines depend on the load of the machine; pytest-timeout ends tests that hang.
hypothesis.settings.register_profile("unmask", deadline=None)
hypothesis.settings.load_profile("unmask")


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a migrated database for this test process."""
    with embedded_postgres(tmp_path_factory.mktemp("postgres")) as url:
        migrate(url)
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a Valkey server for this test process."""
    with embedded_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    """Empty the database and return its sessions."""
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {tables}"))
    return make_sessions(engine)


@pytest.fixture
def storage(tmp_path: Path) -> ClipStorage:
    """Return the storage of the API and of workers."""
    return ClipStorage(tmp_path / "clips", reserve_bytes=0)


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Return settings of the API on the test servers."""
    return Settings.model_validate(
        {
            "database_url": database_url,
            "redis_url": redis_url,
            "storage_url": (tmp_path / "clips").as_uri(),
            "storage_reserve_bytes": 0,
            "api_key": API_KEY,
            "sweep_interval": 1,
        }
    )


@pytest.fixture
def api(settings: Settings, sessions: sessionmaker[Session]) -> Iterator[TestClient]:
    """Run the API on an empty database. The client has the operator's key."""
    assert sessions
    with make_client(settings) as client:
        yield client


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that renders the clip of a name once."""
    folder = tmp_path_factory.mktemp("rendered")

    def find_or_render(name: str) -> Path:
        path = folder / name
        if not path.exists():
            RENDERERS[name](path)
        return path

    return find_or_render


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the commands of the documents that no test runs, with the reasons."""
    terminalreporter.section("commands of the documents that are not run")
    for pattern, reason in NOT_RUN.items():
        terminalreporter.write_line(f"{pattern}: {reason} ({', '.join(find_not_run(pattern))})")
