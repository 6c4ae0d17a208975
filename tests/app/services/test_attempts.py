"""Attempts in the database: claims, leases, the fence against late writes, reused results."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.core.enums import FailureCode, JobStatus, Phase, Verdict
from app.core.errors import NotCancelableError
from app.db.engine import db_now
from app.db.queries import jobs as job_queries
from app.db.tables.jobs import Job, Transition
from app.infra.clip_storage import ClipStorage
from app.services import attempts, jobs
from app.services.attempts import Attempt
from app.services.keys import DEFAULT_TENANT
from tests.support.api import Sessions, submit
from tests.support.factories import make_attempt_result
from tests.support.jobs import EXPIRED, LEASE, claim_job, claim_next, queue_job, read_job, requeue_lost

DETECTOR = "d" * 64
PROGRESS = (Phase.EXTRACTING, 1, 16)


def succeed(sessions: Sessions, attempt: Attempt) -> bool:
    with sessions() as session:
        return attempts.succeed(session, attempt, make_attempt_result(frames=2, detector_sha256=DETECTOR))


def reuse_result(sessions: Sessions, attempt: Attempt, detector_sha256: str = DETECTOR) -> bool:
    with sessions() as session:
        return attempts.reuse_result(session, attempt, detector_sha256=detector_sha256)


def test_jobs_are_claimed_in_order_of_arrival(sessions: Sessions) -> None:
    ids = [queue_job(sessions) for _ in range(3)]
    claimed = [claim_next(sessions) for _ in range(4)]
    assert [attempt and attempt.job_id for attempt in claimed] == [*ids, None]


def test_each_job_is_claimed_by_one_of_many_workers(sessions: Sessions) -> None:
    ids = {queue_job(sessions) for _ in range(10)}
    gate = threading.Barrier(8)

    def claim_until_empty() -> list[UUID]:
        gate.wait()
        found = []
        while (attempt := claim_next(sessions)) is not None:
            found.append(attempt.job_id)
        return found

    with ThreadPoolExecutor(8) as pool:
        claimed = [job_id for found in pool.map(lambda _: claim_until_empty(), range(8)) for job_id in found]
    assert len(claimed) == 10
    assert set(claimed) == ids


def test_batch_job_lets_live_jobs_pass_until_its_turn(sessions: Sessions) -> None:
    batch, early, late = (queue_job(sessions) for _ in range(3))
    with sessions() as session, session.begin():
        now = db_now(session)
        for job_id, minutes in ((batch, 10), (early, 5), (late, 11)):
            session.get_one(Job, job_id).turn_at = now + timedelta(minutes=minutes)
        waiting = session.get_one(Job, batch)
        assert job_queries.count_queued_before(session, waiting) == 1
    assert [claim_job(sessions).job_id for _ in range(3)] == [early, batch, late]


def test_result_is_stored_with_frames_and_history(sessions: Sessions) -> None:
    job_id = queue_job(sessions)
    assert succeed(sessions, claim_job(sessions))
    job = read_job(sessions, job_id)
    assert (job.status, job.verdict, job.lease_until) == (JobStatus.SUCCEEDED, Verdict.AUTHENTIC, None)
    with sessions() as session:
        rows = jobs.list_frames(session, job_id, tenant=DEFAULT_TENANT, after=-1, limit=10)
    assert [row.payload["pts_seconds"] for row in rows] == [0.0, 0.04]
    with sessions() as session:
        history = session.scalars(select(Transition).order_by(Transition.id)).all()
    assert [(row.status, row.attempt, row.worker) for row in history] == [
        (JobStatus.QUEUED, 0, None),
        (JobStatus.RUNNING, 1, "w"),
        (JobStatus.SUCCEEDED, 1, "w"),
    ]


def test_failure_is_shown_with_code_and_attempt(api: TestClient, sessions: Sessions) -> None:
    url = submit(api)["links"]["self"]
    attempt = claim_job(sessions)
    with sessions() as session:
        attempts.fail(session, attempt, code=FailureCode.ENCRYPTED_MEDIA, message="It is encrypted.", retryable=False)
    assert api.get(url).json()["failure"] == {
        "code": "encrypted_media",
        "message": "It is encrypted.",
        "retryable": False,
        "attempt": 1,
    }


def test_late_result_of_lost_worker_is_dropped(sessions: Sessions) -> None:
    job_id = queue_job(sessions)
    late = claim_job(sessions, lease=EXPIRED)
    assert requeue_lost(sessions) == [JobStatus.QUEUED]
    second = claim_job(sessions)
    assert not succeed(sessions, late)
    with sessions() as session:
        assert not attempts.renew_lease(session, late, lease=LEASE, progress=PROGRESS, emit_progress=False)
    assert succeed(sessions, second)
    assert not succeed(sessions, second)
    job = read_job(sessions, job_id)
    assert job.result is not None
    assert (job.attempt, job.result.attempt) == (2, 2)


def test_result_of_canceled_job_is_dropped(sessions: Sessions) -> None:
    job_id = queue_job(sessions)
    attempt = claim_job(sessions)
    with sessions() as session:
        jobs.cancel_job(session, job_id, tenant=DEFAULT_TENANT)
    assert not succeed(sessions, attempt)
    assert read_job(sessions, job_id).status is JobStatus.CANCELED
    with sessions() as session, pytest.raises(NotCancelableError):
        jobs.cancel_job(session, job_id, tenant=DEFAULT_TENANT)


def test_released_attempt_does_not_count_as_lost(sessions: Sessions) -> None:
    job_id = queue_job(sessions)
    for _ in range(5):
        attempt = claim_job(sessions)
        with sessions() as session:
            assert attempts.release(session, attempt)
    job = read_job(sessions, job_id)
    assert (job.status, job.attempt, job.lost_attempts) == (JobStatus.QUEUED, 5, 0)


def test_renewed_lease_keeps_job_and_stores_progress(sessions: Sessions) -> None:
    job_id = queue_job(sessions)
    attempt = claim_job(sessions, lease=timedelta(seconds=0.05))
    with sessions() as session:
        assert attempts.renew_lease(session, attempt, lease=LEASE, progress=PROGRESS, emit_progress=False)
    assert requeue_lost(sessions) == []
    job = read_job(sessions, job_id)
    assert (job.phase, job.progress_done, job.progress_total) == PROGRESS


def test_reusable_result_ends_job_with_its_frames(sessions: Sessions) -> None:
    first = queue_job(sessions)
    assert succeed(sessions, claim_job(sessions))
    second = queue_job(sessions)
    attempt = claim_job(sessions)
    assert not reuse_result(sessions, attempt, detector_sha256="another")
    assert reuse_result(sessions, attempt)
    assert not reuse_result(sessions, attempt)  # it has ended
    job = read_job(sessions, second)
    assert (job.status, job.verdict, job.deduplicated_from) == (JobStatus.SUCCEEDED, Verdict.AUTHENTIC, first)
    with sessions() as session:
        rows = jobs.list_frames(session, second, tenant=DEFAULT_TENANT, after=-1, limit=10)
    assert [row.payload["pts_seconds"] for row in rows] == [0.0, 0.04]


def test_result_of_other_tenant_other_bytes_or_deleted_job_is_not_reused(
    sessions: Sessions, storage: ClipStorage
) -> None:
    first = queue_job(sessions)
    assert succeed(sessions, claim_job(sessions))

    def can_reuse(**columns: Any) -> bool:
        queue_job(sessions, **columns)
        return reuse_result(sessions, claim_job(sessions))

    assert not can_reuse(tenant="other")
    assert not can_reuse(clip_sha256="1" * 64)
    with sessions() as session:
        jobs.delete_job(session, storage, first, tenant=DEFAULT_TENANT)
    assert not can_reuse()
