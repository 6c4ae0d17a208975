"""The API of a test, with the operator's key; receivers of its webhooks."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from app.core.settings import Settings
from app.db.tables.webhooks import WebhookEvent
from app.infra.clip_storage import ClipStorage, make_storage
from app.infra.egress import EgressPolicy
from app.main import create_app
from app.webhook_dispatcher import WebhookDispatcher
from tests.conftest import API_KEY
from tests.support.receiver import Receiver, receiver
from tests.support.waiting import wait_until

Deliver = Callable[[], None]


@pytest.fixture
def api(settings: Settings, sessions: sessionmaker[Session]) -> Iterator[TestClient]:
    assert sessions  # on an empty database
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        yield client


@pytest.fixture
def clips(settings: Settings) -> ClipStorage:
    """Where the API keeps clips."""
    return make_storage(str(settings.storage_url), reserve_bytes=0)


@pytest.fixture
def hook_settings(settings: Settings) -> Settings:
    """Retries at once, three times; receivers on this machine are allowed."""
    delays = (timedelta(milliseconds=1),) * 3
    changes = {"egress_allow": (ip_network("127.0.0.0/8"),), "webhook_retry_delays": delays}
    return settings.model_copy(update=changes | {"webhook_timeout": timedelta(seconds=1)})


@pytest.fixture
def webhook_api(hook_settings: Settings, sessions: sessionmaker[Session]) -> Iterator[TestClient]:
    """The API that may send to them."""
    assert sessions
    with TestClient(create_app(hook_settings), headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        yield client


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    """A receiver on this machine."""
    with receiver() as state:
        yield state


@pytest.fixture
def deliver(hook_settings: Settings, sessions: sessionmaker[Session]) -> Deliver:
    """Delivers all that is due, and what becomes due by it."""

    def run() -> None:
        dispatcher = WebhookDispatcher(sessions, EgressPolicy(hook_settings.egress_allow), hook_settings)
        wait_until(lambda: not (dispatcher.deliver_due() or dispatcher.is_busy() or has_due()), 20)

    def has_due() -> bool:
        soon = datetime.now(UTC) + timedelta(seconds=1)
        with sessions() as session:
            return session.query(WebhookEvent).where(WebhookEvent.next_at < soon).count() > 0

    return run
