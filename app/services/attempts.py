"""What workers do with jobs: claim, renew, succeed, fail, release. Every write is fenced by the attempt's number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import EventType, FailureCode, JobStatus, Phase
from app.db.engine import advisory_lock, db_now
from app.db.queries import jobs as job_queries
from app.db.queries import results as result_queries
from app.db.queries.webhook_outbox import add_job_event
from app.db.tables.jobs import Job
from app.db.tables.results import Result
from app.infra.clip_storage import ClipStorage, Upload
from app.schemas.policies import Calibration
from app.services import policies
from app.services.reanalysis import emit_verdict_changed


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job by a worker, and the right to write its outcome."""

    job_id: UUID
    number: int
    worker: str
    clip_sha256: str | None
    """None: the clip has still to be fetched from ``clip_url``."""
    clip_url: str | None
    model: str | None
    """The installed model that was asked for; None: the worker's default."""
    allow_reuse: bool
    """Whether a finished result for the same bytes will do."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What a detector found, ready to be stored."""

    payload: dict[str, Any]
    """``schemas.Finding`` as JSON."""
    frames: Sequence[dict[str, Any]]
    """``schemas.Frame`` as JSON, in the order of the clip."""
    detector_sha256: str
    """Names the detector."""
    calibration: Calibration
    """Of its model."""


def claim_job(session: Session, *, worker: str, lease: timedelta) -> Attempt | None:
    """Takes the job that waits longest; None where none waits."""
    with session.begin():
        job = job_queries.find_next_queued(session)
        if job is None:
            return None
        now = db_now(session)
        job.attempt += 1
        session.add(job.move_to(JobStatus.RUNNING, at=now, worker=worker))
        job.lease_owner, job.lease_until = worker, now + lease
        job.phase, job.progress_done = Phase.FETCHING, 0
        job.started_at = job.started_at or now
        return Attempt(
            job_id=job.id,
            number=job.attempt,
            worker=worker,
            clip_sha256=job.clip_sha256,
            clip_url=job.clip_url,
            model=job.model,
            allow_reuse=job.allow_reuse,
        )


def renew_lease(
    session: Session, attempt: Attempt, *, lease: timedelta, progress: tuple[Phase, int, int | None], tell: bool
) -> bool:
    """The heartbeat; ``tell`` sends the progress to the webhooks that want it.

    False: the job was canceled, deleted, or given to another worker; stop the work.
    """
    with session.begin():
        job_id = attempt.job_id
        is_ours = job_queries.renew_lease(session, job_id, attempt=attempt.number, lease=lease, progress=progress)
        if is_ours and tell:
            phase, done, total = progress
            add_job_event(session, job_id, EventType.JOB_PROGRESS, {"phase": phase, "done": done, "total": total})
        return is_ours


def keep_fetched(session: Session, storage: ClipStorage, attempt: Attempt, upload: Upload) -> str | None:
    """Stores the clip that an attempt has fetched; returns its SHA-256. None: the attempt came too late.

    Raises StorageFullError: the clip could not be written to the disk.
    """
    sha256 = upload.finish()
    with session.begin():
        job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
        if job is None:
            return None
        job.clip_sha256, job.clip_bytes = sha256, upload.size_bytes
        advisory_lock(session, sha256)
        storage.keep(upload, sha256)
        return sha256


def reuse_result(session: Session, attempt: Attempt, *, detector_sha256: str) -> bool:
    """Ends the job with the result of another one for the same bytes. False: there is none, or it came too late.

    Args:
        session: Has no transaction yet.
        attempt: Which has done nothing yet.
        detector_sha256: Names the detector that would judge the clip.
    """
    with session.begin():
        job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
        reusable = job and result_queries.find_reusable_result(session, job, detector_sha256=detector_sha256)
        if job is None or reusable is None:
            return False
        assert reusable.result  # it was found by it
        job.deduplicated_from = reusable.deduplicated_from or reusable.id
        _end_with(session, job, reusable.result, attempt)
        result_queries.copy_frames(session, reusable, job)
        return True


def succeed(session: Session, attempt: Attempt, found: AttemptResult) -> bool:
    """Stores the result, judged by the job's policy. False: the attempt came too late, nothing was stored."""
    with session.begin():
        job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
        if job is None:
            return False
        sha256 = found.calibration.sha256
        result_queries.add_calibration(session, sha256=sha256, payload=found.calibration.model_dump(mode="json"))
        result = Result(payload=found.payload, detector_sha256=found.detector_sha256, calibration_sha256=sha256)
        _end_with(session, job, result, attempt)
        result_queries.add_frames(session, job, found.frames)
        return True


def _end_with(session: Session, job: Job, result: Result, attempt: Attempt) -> None:
    policies.attach_result(session, job, result)
    session.add(job.move_to(JobStatus.SUCCEEDED, at=db_now(session), worker=attempt.worker))
    emit_verdict_changed(session, job)


def fail(session: Session, attempt: Attempt, *, code: FailureCode, message: str, retryable: bool) -> bool:
    """Ends the job as failed. False: the attempt came too late."""
    with session.begin():
        job = _move(session, attempt, JobStatus.FAILED)
        if job is not None:
            job.failure_code, job.failure_message, job.failure_retryable = code, message, retryable
        return job is not None


def release(session: Session, attempt: Attempt) -> bool:
    """Gives the job back because this worker was asked to stop: that is not the job's fault and not counted."""
    with session.begin():
        return _move(session, attempt, JobStatus.QUEUED) is not None


def _move(session: Session, attempt: Attempt, status: JobStatus) -> Job | None:
    """The fence: moves the job if the attempt still owns it."""
    job = job_queries.find_running(session, attempt.job_id, attempt=attempt.number)
    if job is not None:
        now = db_now(session)
        session.add(job.move_to(status, at=now, worker=attempt.worker))
    return job
