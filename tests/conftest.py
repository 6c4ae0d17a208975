"""Fixtures for all tests: real PostgreSQL and Valkey, the API, rendered clips."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import Scope
from app.core.settings import Settings
from app.db.engine import Base, make_engine, make_sessions
from app.db.migrations import migrate
from app.db.tables.webhooks import WebhookEvent
from app.infra.clip_storage import ClipStorage
from app.infra.egress import EgressPolicy
from app.local.embedded_servers import embedded_postgres, embedded_valkey
from app.main import create_app
from app.services import keys
from app.services.keys import KeyRequest
from app.webhook_dispatcher import WebhookDispatcher
from tests.support.api import MakeKey, Sessions, make_client
from tests.support.catalogue import RENDERERS
from tests.support.documents import NOT_RUN, find_not_run
from tests.support.receiver import Deliver, Receiver, receiver
from tests.support.waiting import wait_until

API_KEY = "umk_test"

# Two test processes share the cores. With a thread pool each, torch waits busily and takes several times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
    """Return a function that renders the clip of a name once, for all processes of the run."""
    unfinished = tmp_path_factory.mktemp("rendered")
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    folder = unfinished.parent.parent / "rendered" if is_worker else unfinished / "done"
    folder.mkdir(exist_ok=True)

    def find_or_render(name: str) -> Path:
        path = folder / name
        if not path.exists():
            RENDERERS[name](unfinished / name)
            (unfinished / name).replace(path)  # atomic: another process may read it
        return path

    return find_or_render


@pytest.fixture
def keyless_api(settings: Settings, sessions: Sessions) -> Iterator[TestClient]:
    """Run the API on an empty database. The client has no key."""
    assert sessions
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def make_key(sessions: Sessions) -> MakeKey:
    """Return a function that creates an API key and returns its header."""

    def make(*scopes: Scope, tenant: str = "acme", lifetime: timedelta | None = None, **limits: Any) -> dict[str, str]:
        with sessions() as session:
            request = KeyRequest(name="test", scopes=scopes, lifetime=lifetime, **limits)
            _, text = keys.create_key(session, request, tenant=tenant, pepper=API_KEY)
        return {"Authorization": f"Bearer {text}"}

    return make


@pytest.fixture
def webhook_settings(settings: Settings) -> Settings:
    """Return settings that allow local receivers, and retry at once, three times."""
    delays = (timedelta(milliseconds=1),) * 3
    return settings.model_copy(update={"egress_allow": (ip_network("127.0.0.0/8"),), "webhook_retry_delays": delays})


@pytest.fixture
def webhook_api(webhook_settings: Settings, sessions: Sessions) -> Iterator[TestClient]:
    """Run the API with local receivers allowed."""
    assert sessions
    with make_client(webhook_settings) as client:
        yield client


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    """Run a local receiver."""
    with receiver() as state:
        yield state


@pytest.fixture
def deliver(webhook_settings: Settings, sessions: Sessions) -> Deliver:
    """Return a function that delivers all events that are due, and those that become due by it."""

    def deliver_all() -> None:
        dispatcher = WebhookDispatcher(sessions, EgressPolicy(webhook_settings.egress_allow), webhook_settings)
        wait_until(lambda: not (dispatcher.deliver_due() or dispatcher.is_busy() or has_due()))

    def has_due() -> bool:
        soon = datetime.now(UTC) + timedelta(seconds=1)
        with sessions() as session:
            return session.query(WebhookEvent).where(WebhookEvent.next_at < soon).count() > 0

    return deliver_all


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After the tests of the documents, print the commands that they do not run, with the reasons."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    if not any("test_documents" in getattr(report, "nodeid", "") for report in reports):
        return
    terminalreporter.section("commands of the documents that are not run")
    for pattern, reason in NOT_RUN.items():
        terminalreporter.write_line(f"{pattern}: {reason} ({', '.join(find_not_run(pattern))})")
