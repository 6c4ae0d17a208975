"""Use cases of workers: claim, renew, succeed, fail, release. Each write is fenced by the attempt number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import EventType, FailureCode, JobStatus, Phase
from app.db.engine import advisory_lock
from app.db.queries import jobs as job_queries
from app.db.queries import results as result_queries
from app.db.tables.jobs import Job
from app.db.tables.results import Result
from app.infra.clip_storage import ClipStorage, Upload
from app.schemas.calibrations import Calibration
from app.services import policies
from app.services.calibrations import store_calibration
from app.services.lifecycle import move_job
from app.services.reanalysis import emit_verdict_changed
from app.services.webhook_events import emit_job_event


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job by a worker, and the right to write its result."""

    job_id: UUID
    number: int
    worker: str
    clip_sha256: str | None
    """None: the clip has still to be fetched from ``clip_url``."""
    clip_url: str | None
    model: str | None
    """Installed model that the job names; None: the worker's default."""
    start_seconds: float | None
    end_seconds: float | None
    """Part of the clip; None: its begin, its end."""
    allow_reuse: bool
    """True if a finished result for the same bytes is enough."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """Result of an attempt, ready to be stored."""

    payload: dict[str, Any]
    """``schemas.results.Finding`` as JSON."""
    frames: Sequence[dict[str, Any]]
    """``schemas.results.Frame`` as JSON, in the order of the clip."""
    detector_sha256: str
    """Identifies weights, configuration and calibration."""
    calibration: Calibration


def claim_job(session: Session, *, worker: str, lease: timedelta) -> Attempt | None:
    """Claim the next queued job for a worker. Returns None if the queue is empty."""
    with session.begin():
        job = job_queries.find_next_queued(session)
        if job is None:
            return None
        job.attempt += 1
        move_job(session, job, JobStatus.RUNNING, worker=worker, lease=lease)
        return Attempt(
            job_id=job.id,
            number=job.attempt,
            worker=worker,
            clip_sha256=job.clip_sha256,
            clip_url=job.clip_url,
            model=job.model,
            start_seconds=job.start_seconds,
            end_seconds=job.end_seconds,
            allow_reuse=job.allow_reuse,
        )


def renew_lease(
    session: Session,
    attempt: Attempt,
    *,
    lease: timedelta,
    progress: tuple[Phase, int, int | None],
    emit_progress: bool,
) -> bool:
    """Extend the lease and store the progress.

    Args:
        session: Has no transaction yet.
        attempt: The running attempt.
        lease: New duration of the lease, from now.
        progress: Phase, units done, units expected.
        emit_progress: True adds a ``job.progress`` event for endpoints that subscribe to it.

    Returns:
        False if the attempt no longer owns the job: it was canceled, deleted, or given to another worker.
    """
    with session.begin():
        job_id = attempt.job_id
        owns_job = job_queries.renew_lease(session, job_id, attempt=attempt.number, lease=lease, progress=progress)
        if owns_job and emit_progress:
            phase, done, total = progress
            job = job_queries.find_running(session, job_id, attempt=attempt.number)
            if job is not None:
                emit_job_event(session, job, EventType.JOB_PROGRESS, {"phase": phase, "done": done, "total": total})
        return owns_job


def store_fetched_clip(session: Session, storage: ClipStorage, attempt: Attempt, upload: Upload) -> str | None:
    """Store the clip that an attempt fetched. Returns its SHA-256, or None if the attempt no longer owns the job.

    Raises StorageFullError: the disk is full.
    """
    sha256 = upload.finish()
    with session.begin():
        job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
        if job is None:
            return None
        job.clip_sha256, job.clip_bytes = sha256, upload.size_bytes
        advisory_lock(session, sha256)
        storage.store_upload(upload, sha256)
        return sha256


def reuse_result(session: Session, attempt: Attempt, *, detector_sha256: str) -> bool:
    """End the job with the result that another job has for the same bytes and detector.

    Returns False if there is no such result, or the attempt no longer owns the job.
    """
    with session.begin():
        job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
        reusable = job and result_queries.find_reusable_result(session, job, detector_sha256=detector_sha256)
        if job is None or reusable is None:
            return False
        assert reusable.result  # the query joins it
        job.deduplicated_from = reusable.deduplicated_from or reusable.id
        _succeed_with(session, job, reusable.result, attempt)
        result_queries.copy_frames(session, reusable, job)
        return True


def succeed(session: Session, attempt: Attempt, result: AttemptResult) -> bool:
    """Store the result and decide its verdict by the job's policy.

    Returns False if the attempt no longer owns the job; then nothing is stored.
    """
    with session.begin():
        job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
        if job is None:
            return False
        sha256 = store_calibration(session, result.calibration)
        row = Result(payload=result.payload, detector_sha256=result.detector_sha256, calibration_sha256=sha256)
        _succeed_with(session, job, row, attempt)
        result_queries.add_frames(session, job, result.frames)
        return True


def fail(session: Session, attempt: Attempt, *, code: FailureCode, message: str, retryable: bool) -> bool:
    """End the job as failed. Returns False if the attempt no longer owns the job."""
    with session.begin():
        job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
        if job is None:
            return False
        job.failure_code, job.failure_message, job.failure_retryable = code, message, retryable
        move_job(session, job, JobStatus.FAILED, worker=attempt.worker)
        return True


def release(session: Session, attempt: Attempt) -> bool:
    """Return the job to the queue because the worker is shutting down. This does not count as a lost attempt.

    Returns False if the attempt no longer owns the job.
    """
    with session.begin():
        job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
        if job is None:
            return False
        move_job(session, job, JobStatus.QUEUED, worker=attempt.worker)
        return True


def _succeed_with(session: Session, job: Job, result: Result, attempt: Attempt) -> None:
    policies.attach_result(session, job, result)
    move_job(session, job, JobStatus.SUCCEEDED, worker=attempt.worker)
    emit_verdict_changed(session, job)
