"""Clips and results go when their time is over; what another job holds stays."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.core.enums import EventType
from app.core.settings import Settings
from app.db.tables.jobs import Job
from app.db.tables.webhooks import WebhookEvent
from app.infra.clip_storage import ClipStorage
from app.maintenance.retention import Retention
from tests.support.api import MP4, Sessions, finish, problem, submit

Sweep = Callable[..., None]


@pytest.fixture
def sweep(settings: Settings, sessions: Sessions, clips: ClipStorage) -> Sweep:
    """Sweeps as if so many days had passed since the last job ended."""

    def run(days: float, **changes: Any) -> None:
        keep = Retention(clips, settings.model_copy(update=changes))
        with sessions() as session, session.begin():
            session.execute(update(Job).values(finished_at=Job.finished_at - timedelta(days=days)))
        for _ in range(2):
            with sessions() as session:
                keep(session)

    return run


def exists(clips: ClipStorage, job: dict[str, Any]) -> bool:
    try:
        clips.open_clip(job["clip"]["sha256"]).close()
    except FileNotFoundError:
        return False
    return True


def test_a_clip_goes_after_a_week_and_its_result_stays(
    api: TestClient, sessions: Sessions, clips: ClipStorage, sweep: Sweep
) -> None:
    api.post("/v1/webhook-endpoints", json={"url": "https://webhooks.example/", "events": ["media.deleted"]})
    job = submit(api)
    finish(sessions, frames=1)
    sweep(6)
    assert exists(clips, job)
    sweep(2)
    assert not exists(clips, job)
    found = api.get(job["links"]["self"]).json()
    assert (found["status"], found["clip"]["deleted_at"] is not None) == ("succeeded", True)
    assert api.get(job["links"]["frames"]).status_code == 200
    sweep(1)
    with sessions() as session:
        assert session.scalars(select(WebhookEvent.type)).all() == [EventType.MEDIA_DELETED]


def test_bytes_that_another_job_holds_stay(
    api: TestClient, sessions: Sessions, clips: ClipStorage, sweep: Sweep
) -> None:
    job = submit(api)
    finish(sessions)
    waiting = submit(api)
    sweep(8)
    assert exists(clips, job)
    api.delete(waiting["links"]["self"])
    assert not exists(clips, job)


def test_jobs_go_where_the_operator_says_so(
    api: TestClient, sessions: Sessions, clips: ClipStorage, sweep: Sweep
) -> None:
    job = submit(api, external_id="post-1")
    finish(sessions, frames=1)
    sweep(400)
    assert api.get(job["links"]["self"]).status_code == 200
    sweep(0, result_retention=timedelta(days=365))
    problem(api.get(job["links"]["self"]), 410, "gone_deleted")
    assert not exists(clips, job)


def test_a_job_that_has_not_ended_keeps_its_clip(api: TestClient, clips: ClipStorage, sweep: Sweep) -> None:
    job = submit(api)
    sweep(400, result_retention=timedelta(days=1))
    assert exists(clips, job)


def test_a_clip_that_no_job_holds_goes(api: TestClient, clips: ClipStorage, sweep: Sweep) -> None:
    job = submit(api)
    held, old, young = job["clip"]["sha256"], "a" * 64, "b" * 64
    for sha256 in (old, young):
        with clips.begin_upload(expected_bytes=0) as upload:
            upload.write(MP4)
            upload.finish()
            clips.keep(upload, sha256)
    hours_ago = time.time() - 7200
    for sha256 in (held, old):
        with clips.open_clip(sha256) as file:
            os.utime(file.name, (hours_ago, hours_ago))
    sweep(0)
    assert exists(clips, job)
    clips.open_clip(young).close()
    with pytest.raises(FileNotFoundError):
        clips.open_clip(old)
