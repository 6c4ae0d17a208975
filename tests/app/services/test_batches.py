"""Batches: ``batch.completed`` is emitted once, after the last job has ended."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.core.enums import EventType
from app.core.settings import Settings
from app.db.tables.webhooks import WebhookEvent
from app.services import batches
from tests.support.api import SHA256, Sessions, finish, read_body, submit


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings whose sweeper does not complete the batches of the test."""
    return settings.model_copy(update={"sweep_interval": timedelta(hours=1)})


def test_batch_is_completed_once_after_its_last_job(api: TestClient, sessions: Sessions) -> None:
    api.post("/v1/webhook-endpoints", json={"url": "https://webhooks.example/", "events": ["batch.completed"]})
    finished_first = submit(api)
    finish(sessions)
    batch = api.post("/v1/batches", json={"items": [{"source": {"sha256": SHA256}}] * 2}).json()
    path = f"/v1/batches/{batch['id']}"

    def complete_batches() -> int:
        with sessions() as session:
            return len(batches.complete_batches(session))

    listed = [api.get(f"/v1/jobs/{job['id']}").json()["batch_id"] for job in batch["jobs"]]
    assert ([job["index"] for job in batch["jobs"]], listed) == ([0, 1], [batch["id"]] * 2)
    finish(sessions)
    assert complete_batches() == 0
    (left,) = api.get("/v1/jobs", params={"batch_id": batch["id"], "status": "queued"}).json()["items"]
    api.post(f"{left['links']['self']}:cancel")
    assert api.get(path).json()["status"] == "partially_failed"
    assert (complete_batches(), complete_batches()) == (1, 0)
    assert api.get(path).json()["completed_at"] is not None
    with sessions() as session:
        (event,) = session.scalars(select(WebhookEvent)).all()
    assert (event.type, event.job_id) == (EventType.BATCH_COMPLETED, None)
    data = read_body(event)["data"]
    assert (data["id"], data["counts"]) == (batch["id"], {"succeeded": 1, "canceled": 1})
    assert finished_first["batch_id"] is None
