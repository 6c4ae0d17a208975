"""Fixtures for tests of the service: API keys, webhook receivers, deliveries."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.enums import Scope
from app.core.settings import Settings
from app.db.tables.webhooks import WebhookEvent
from app.infra.egress import EgressPolicy
from app.main import create_app
from app.services import keys
from app.services.keys import KeyRequest
from app.webhook_dispatcher import WebhookDispatcher
from tests.conftest import API_KEY
from tests.support.api import MakeKey, Sessions, make_client
from tests.support.receiver import Deliver, Receiver, receiver
from tests.support.waiting import wait_until


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
