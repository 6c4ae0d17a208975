"""Deliveries in trouble: receivers that hang in numbers, endpoints that vanish, couriers that die, jobs that last."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.enums import Phase
from app.core.settings import Settings
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent
from app.infra.egress import EgressPolicy
from app.services import attempts, webhook_deliveries, webhooks
from app.services.keys import DEFAULT_TENANT
from app.webhook_dispatcher import WebhookDispatcher
from tests.app.conftest import Deliver
from tests.support.api import ENDPOINTS, Sessions, finish, register_endpoint, submit
from tests.support.receiver import Receiver, receiver
from tests.support.waiting import wait_until


@pytest.fixture
def api(webhook_api: TestClient) -> TestClient:
    return webhook_api


@pytest.fixture
def hanging() -> Iterator[list[Receiver]]:
    """As many receivers that hang as a dispatcher has threads."""
    with ExitStack() as stack:
        slow = [stack.enter_context(receiver()) for _ in range(16)]
        for one in slow:
            one.delay_seconds = 3
        yield slow


def test_endpoints_that_fail_leave_the_threads_to_those_that_do_not(
    api: TestClient, webhook: Receiver, hook_settings: Settings, sessions: Sessions, hanging: list[Receiver]
) -> None:
    urls = {one.url for one in hanging}
    for url in urls:
        register_endpoint(api, url)
    for _ in range(3):
        submit(api)
    retry_often = hook_settings.model_copy(update={"webhook_retry_delays": (timedelta(milliseconds=1),) * 50})
    dispatcher = WebhookDispatcher(sessions, EgressPolicy(hook_settings.egress_allow), retry_often)

    def have_failed() -> bool:
        dispatcher.deliver_due()
        items = api.get(ENDPOINTS).json()["items"]
        return all(item["failing_since"] for item in items)

    wait_until(have_failed, 60)
    register_endpoint(api, webhook.url)
    start = time.monotonic()
    submit(api)
    wait_until(lambda: dispatcher.deliver_due() is not None and webhook.ids, 20)
    assert time.monotonic() - start < 2 * hook_settings.webhook_timeout.total_seconds()
    for item in api.get(ENDPOINTS).json()["items"]:
        api.delete(f"{ENDPOINTS}/{item['id']}")
    wait_until(lambda: not dispatcher.is_busy(), 20)


def test_an_endpoint_that_is_deleted_while_jobs_end_stops_none_of_them(api: TestClient, sessions: Sessions) -> None:
    jobs = [submit(api) for _ in range(20)]
    endpoints = [register_endpoint(api, f"https://webhooks.example/{index}") for index in range(10)]

    def delete_all() -> None:
        for endpoint in endpoints:
            api.delete(f"{ENDPOINTS}/{endpoint['id']}")

    thread = threading.Thread(target=delete_all)
    thread.start()
    for _ in jobs:
        finish(sessions)
    thread.join()
    assert {api.get(job["links"]["self"]).json()["status"] for job in jobs} == {"succeeded"}
    assert api.get(ENDPOINTS).json()["items"] == []


def test_an_event_outlives_the_courier_that_died_with_it(
    api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions
) -> None:
    register_endpoint(api, webhook.url, events=["job.queued"])
    submit(api)

    def claim() -> list[webhook_deliveries.DeliveryRequest]:
        with sessions() as session:
            return webhook_deliveries.claim_deliveries(
                session, lease=timedelta(seconds=0.5), limit=10, per_endpoint=4, busy={}
            )

    (delivery,) = claim()  # and then it dies
    assert claim() == []
    deliver()
    assert webhook.ids == [delivery.message_id]


def events_of(session: Session, endpoint: WebhookEndpoint) -> dict[str, Any]:
    """What an endpoint is told, by type."""
    rows = session.scalars(select(WebhookEvent).where(WebhookEvent.endpoint_id == endpoint.id))
    return {row.type.value: row.data for row in rows}


def test_progress_goes_to_those_who_name_it(api: TestClient, sessions: Sessions) -> None:
    for name, events in (("all", None), ("progress", ["job.progress"])):
        register_endpoint(api, f"https://webhooks.example/{name}", events=events)
    submit(api)
    with sessions() as session:
        attempt = attempts.claim_job(session, worker="w", lease=timedelta(minutes=1))
        assert attempt is not None
    for tell in (True, False):
        with sessions() as session:
            progress = (Phase.EXTRACTING, 8, 16)
            assert attempts.renew_lease(session, attempt, lease=timedelta(minutes=1), progress=progress, tell=tell)
    with sessions() as session:
        endpoints = webhooks.list_endpoints(session, tenant=DEFAULT_TENANT, after=None, limit=10)
        told = {endpoint.url.rpartition("/")[2]: events_of(session, endpoint) for endpoint in endpoints}
    assert "job.progress" not in told["all"]
    assert told["progress"] == {"job.progress": {"phase": "extracting", "done": 8, "total": 16}}
