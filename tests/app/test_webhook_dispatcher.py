"""Webhook dispatcher: ``Retry-After``, and threads that failing endpoints leave to others."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.db.tables.webhooks import WebhookEvent
from app.infra.egress import EgressPolicy
from app.webhook_dispatcher import WebhookDispatcher
from tests.support.api import ENDPOINTS, Sessions, register_endpoint, submit
from tests.support.receiver import Deliver, Receiver, receiver
from tests.support.waiting import wait_until

TIMEOUT_SECONDS = 4
"""Timeout of a delivery to a receiver that does not answer. Longer than a loaded machine delays the others."""


@pytest.fixture
def api(webhook_api: TestClient) -> TestClient:
    return webhook_api


@pytest.fixture
def webhook_settings(webhook_settings: Settings) -> Settings:
    """Return settings with a short timeout of deliveries."""
    return webhook_settings.model_copy(update={"webhook_timeout": timedelta(seconds=TIMEOUT_SECONDS)})


@pytest.fixture
def slow_receivers() -> Iterator[list[Receiver]]:
    """Run receivers that do not answer in time, as many as a dispatcher has threads."""
    with ExitStack() as stack:
        receivers = [stack.enter_context(receiver()) for _ in range(16)]
        for slow in receivers:
            slow.delay_seconds = 3 * TIMEOUT_SECONDS
        yield receivers


@pytest.mark.parametrize("retry_after", ["9" * 5000, "soon", "Wed, 99 Nov 2026 00:00:00 GMT", "-1"])
def test_invalid_retry_after_is_ignored(api: TestClient, webhook: Receiver, deliver: Deliver, retry_after: str) -> None:
    endpoint = register_endpoint(api, webhook.url, events=["job.queued"])
    webhook.statuses, webhook.headers = [503], {"Retry-After": retry_after}
    submit(api)
    deliver()
    log = api.get(f"{ENDPOINTS}/{endpoint['id']}/deliveries").json()["items"]
    assert log[-1]["status_code"] == 503


def test_valid_retry_after_delays_the_next_delivery(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions
) -> None:
    register_endpoint(api, webhook.url, events=["job.queued"])
    webhook.statuses, webhook.headers = [503], {"Retry-After": "120"}
    submit(api)
    deliver()
    with sessions() as session:
        (event,) = session.query(WebhookEvent).all()
    assert event.next_at
    assert timedelta(seconds=100) < event.next_at - datetime.now(UTC) < timedelta(seconds=121)


def test_unresponsive_endpoint_does_not_delay_others(
    api: TestClient, webhook: Receiver, webhook_settings: Settings, sessions: Sessions
) -> None:
    with receiver() as slow:
        slow.delay_seconds = 3 * TIMEOUT_SECONDS
        register_endpoint(api, slow.url)
        endpoint = register_endpoint(api, webhook.url)
        for _ in range(6):
            submit(api)
        dispatcher = WebhookDispatcher(sessions, EgressPolicy(webhook_settings.egress_allow), webhook_settings)
        start = time.monotonic()
        wait_until(lambda: dispatcher.deliver_due() is not None and len(webhook.ids) == 6, 20)
        assert time.monotonic() - start < TIMEOUT_SECONDS  # no delivery waited for one to the slow receiver
        assert len(slow.ids) <= webhook_settings.webhook_endpoint_concurrency
        assert set(webhook.types(endpoint["secret"])) == {"job.queued"}
        wait_until(lambda: not dispatcher.is_busy(), 20)
    log = api.get(ENDPOINTS).json()["items"]
    assert next(item for item in log if item["url"] == slow.url)["failing_since"]


def test_failing_endpoints_do_not_delay_delivery_to_working_endpoint(
    api: TestClient, webhook: Receiver, webhook_settings: Settings, sessions: Sessions, slow_receivers: list[Receiver]
) -> None:
    for slow in slow_receivers:
        register_endpoint(api, slow.url)
    for _ in range(3):
        submit(api)
    retry_often = webhook_settings.model_copy(update={"webhook_retry_delays": (timedelta(milliseconds=1),) * 50})
    dispatcher = WebhookDispatcher(sessions, EgressPolicy(webhook_settings.egress_allow), retry_often)

    def have_all_failed() -> bool:
        dispatcher.deliver_due()
        items = api.get(ENDPOINTS).json()["items"]
        return all(item["failing_since"] for item in items)

    wait_until(have_all_failed, 60)
    register_endpoint(api, webhook.url)
    start = time.monotonic()
    submit(api)
    wait_until(lambda: dispatcher.deliver_due() is not None and webhook.ids, 20)
    assert time.monotonic() - start < 2 * TIMEOUT_SECONDS
    for item in api.get(ENDPOINTS).json()["items"]:
        api.delete(f"{ENDPOINTS}/{item['id']}")
    wait_until(lambda: not dispatcher.is_busy(), 20)
