"""Retention: clips, jobs, events, audit records and files are deleted after their time, unless they are referenced."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.core.enums import EventType
from app.core.settings import Settings
from app.db.tables.audit import AuditEvent
from app.db.tables.jobs import Job
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent
from app.infra.clip_storage import ClipStorage
from app.maintenance.retention import Retention
from tests.support.api import (
    ENDPOINTS,
    MP4,
    Sessions,
    finish,
    has_clip,
    problem,
    read_audit_log,
    register_endpoint,
    submit,
)
from tests.support.receiver import Deliver, Receiver, receiver

Sweep = Callable[..., None]


@pytest.fixture
def sweep(settings: Settings, sessions: Sessions, storage: ClipStorage) -> Sweep:
    """Return a function that sweeps as if so many days had passed since the end of each job."""

    def sweep_after(days: float = 0, **changes: Any) -> None:
        delete_old = Retention(storage, settings.model_copy(update=changes))
        with sessions() as session, session.begin():
            session.execute(update(Job).values(finished_at=Job.finished_at - timedelta(days=days)))
        for _ in range(2):
            with sessions() as session:
                delete_old(session)

    return sweep_after


def test_clip_is_deleted_after_a_week_and_result_is_kept(
    api: TestClient, sessions: Sessions, storage: ClipStorage, sweep: Sweep
) -> None:
    api.post("/v1/webhook-endpoints", json={"url": "https://webhooks.example/", "events": ["media.deleted"]})
    job = submit(api)
    finish(sessions, frames=1)
    sweep(6)
    assert has_clip(storage, job["clip"]["sha256"])
    sweep(2)
    assert not has_clip(storage, job["clip"]["sha256"])
    found = api.get(job["links"]["self"]).json()
    assert (found["status"], found["clip"]["deleted_at"] is not None) == ("succeeded", True)
    assert api.get(job["links"]["frames"]).status_code == 200
    sweep(1)
    with sessions() as session:
        assert session.scalars(select(WebhookEvent.type)).all() == [EventType.MEDIA_DELETED]


def test_deleted_clip_is_recorded_in_the_audit_log(api: TestClient, sessions: Sessions, sweep: Sweep) -> None:
    job = submit(api)
    finish(sessions)
    sweep(8)
    record = read_audit_log(api)[0]
    assert (record["actor"], record["action"], record["target"]) == ("service", "clip.deleted", job["id"])


def test_clip_of_another_job_is_kept(api: TestClient, sessions: Sessions, storage: ClipStorage, sweep: Sweep) -> None:
    job = submit(api)
    finish(sessions)
    waiting = submit(api)
    sweep(8)
    assert has_clip(storage, job["clip"]["sha256"])
    api.delete(waiting["links"]["self"])
    assert not has_clip(storage, job["clip"]["sha256"])


def test_job_is_deleted_only_with_result_retention(
    api: TestClient, sessions: Sessions, storage: ClipStorage, sweep: Sweep
) -> None:
    job = submit(api, external_id="post-1")
    finish(sessions, frames=1)
    sweep(400)
    assert api.get(job["links"]["self"]).status_code == 200
    sweep(0, result_retention=timedelta(days=365))
    problem(api.get(job["links"]["self"]), 410, "gone_deleted")
    assert not has_clip(storage, job["clip"]["sha256"])


def test_unfinished_job_keeps_its_clip(api: TestClient, storage: ClipStorage, sweep: Sweep) -> None:
    job = submit(api)
    sweep(400, result_retention=timedelta(days=1))
    assert has_clip(storage, job["clip"]["sha256"])


def test_old_clip_without_job_is_deleted(api: TestClient, storage: ClipStorage, sweep: Sweep) -> None:
    job = submit(api)
    used, old, young = job["clip"]["sha256"], "a" * 64, "b" * 64
    for sha256 in (old, young):
        with storage.begin_upload(expected_bytes=0) as upload:
            upload.write(MP4)
            upload.finish()
            storage.store_upload(upload, sha256)
    hours_ago = time.time() - 7200
    for sha256 in (used, old):
        with storage.open_clip(sha256) as file:
            os.utime(file.name, (hours_ago, hours_ago))
    sweep(0)
    assert has_clip(storage, used)
    storage.open_clip(young).close()
    with pytest.raises(FileNotFoundError):
        storage.open_clip(old)


def test_old_events_and_unused_named_endpoints_are_deleted(
    webhook_api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions, sweep: Sweep
) -> None:
    register_endpoint(webhook_api, webhook.url)
    with receiver() as named:
        submit(webhook_api, webhook_url=named.url)
        deliver()
    months_ago = datetime.now(UTC) - timedelta(days=60)
    with sessions() as session, session.begin():
        session.execute(update(WebhookEvent).values(created_at=months_ago))
        session.execute(update(WebhookEndpoint).values(created_at=months_ago))
    sweep()
    with sessions() as session:
        assert session.query(WebhookEvent).count() == 0
    assert [endpoint["url"] for endpoint in webhook_api.get(ENDPOINTS).json()["items"]] == [webhook.url]


def test_old_audit_record_is_deleted(api: TestClient, sessions: Sessions, sweep: Sweep) -> None:
    jobs = [submit(api) for _ in range(3)]
    with sessions() as session, session.begin():
        old = update(AuditEvent).where(AuditEvent.target == jobs[0]["id"])
        session.execute(old.values(at=AuditEvent.at - timedelta(days=366)))
    sweep()
    assert [record["target"] for record in read_audit_log(api)] == [jobs[2]["id"], jobs[1]["id"]]
