"""Webhook outbox: events are inserted for the endpoints that subscribe to them, and never fail a job."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.enums import Phase
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent
from app.services import attempts, webhooks
from app.services.keys import DEFAULT_TENANT
from tests.support.api import ENDPOINTS, Sessions, finish, read_body, register_endpoint, submit


@pytest.fixture
def api(webhook_api: TestClient) -> TestClient:
    return webhook_api


def test_deletion_of_endpoints_while_jobs_end_fails_no_job(api: TestClient, sessions: Sessions) -> None:
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


def read_event_data(session: Session, endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return the data of an endpoint's events by type."""
    rows = session.scalars(select(WebhookEvent).where(WebhookEvent.endpoint_id == endpoint.id))
    return {row.type.value: read_body(row)["data"] for row in rows}


def test_progress_event_goes_only_to_endpoints_that_name_it(api: TestClient, sessions: Sessions) -> None:
    for name, events in (("all", None), ("progress", ["job.progress"])):
        register_endpoint(api, f"https://webhooks.example/{name}", events=events)
    submit(api)
    with sessions() as session:
        attempt = attempts.claim_job(session, worker="w", lease=timedelta(minutes=1))
        assert attempt is not None
    for emit_progress in (True, False):
        with sessions() as session:
            progress = (Phase.EXTRACTING, 8, 16)
            assert attempts.renew_lease(
                session, attempt, lease=timedelta(minutes=1), progress=progress, emit_progress=emit_progress
            )
    with sessions() as session:
        endpoints = webhooks.list_endpoints(session, tenant=DEFAULT_TENANT, after=None, limit=10)
        data = {endpoint.url.rpartition("/")[2]: read_event_data(session, endpoint) for endpoint in endpoints}
    assert "job.progress" not in data["all"]
    (progress,) = data["progress"].values()
    assert (progress["phase"], progress["done"], progress["total"]) == ("extracting", 8, 16)
