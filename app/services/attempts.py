"""What workers do with jobs: claim, renew, succeed, fail, release. Every write is fenced by the attempt's number."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.db import repositories
from app.db.models import Job
from app.states import FailureCode, JobStatus, Phase, Verdict


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job by a worker, and the right to write its outcome."""

    job_id: UUID
    number: int
    worker: str
    clip_sha256: str
    model: str | None
    """The installed model that was asked for; None: the worker's default."""
    may_reuse: bool
    """Whether a finished result for the same bytes will do."""


def claim_job(session: Session, *, worker: str, lease: timedelta) -> Attempt | None:
    """Takes the job that waits longest; None where none waits."""
    with session.begin():
        job = repositories.find_next_queued(session)
        if job is None:
            return None
        now = repositories.database_time(session)
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
            model=job.model,
            may_reuse=job.may_reuse,
        )


def renew_lease(
    session: Session, attempt: Attempt, *, lease: timedelta, progress: tuple[Phase, int, int | None]
) -> bool:
    """The heartbeat. False: the job was canceled, deleted, or given to another worker; stop the work."""
    with session.begin():
        return repositories.renew_lease(session, attempt.job_id, attempt=attempt.number, lease=lease, progress=progress)


def reuse_result(session: Session, attempt: Attempt, *, detector_sha256: str) -> bool:
    """Ends the job with the result of another one for the same bytes. False: there is none, or it came too late.

    Args:
        session: Has no transaction yet.
        attempt: Which has done nothing yet.
        detector_sha256: Names the detector that would judge the clip.
    """
    with session.begin():
        job = repositories.find_running(session, attempt.job_id, attempt=attempt.number)
        twin = job and repositories.find_twin(session, job, detector_sha256=detector_sha256)
        if job is None or twin is None:
            return False
        job.verdict, job.deduplicated_from = twin.verdict, twin.deduplicated_from or twin.id
        repositories.copy_result(session, twin, job)
        session.add(job.move_to(JobStatus.SUCCEEDED, at=repositories.database_time(session), worker=attempt.worker))
        return True


def succeed(
    session: Session,
    attempt: Attempt,
    *,
    verdict: Verdict,
    payload: dict[str, Any],
    frames: Sequence[dict[str, Any]],
    detector_sha256: str,
) -> bool:
    """Stores the result. False: the attempt came too late, nothing was stored."""
    with session.begin():
        job = _move(session, attempt, JobStatus.SUCCEEDED)
        if job is not None:
            job.verdict = verdict
            repositories.add_result(session, job, payload=payload, frames=frames, detector_sha256=detector_sha256)
        return job is not None


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
    job = repositories.find_running(session, attempt.job_id, attempt=attempt.number)
    if job is not None:
        now = repositories.database_time(session)
        session.add(job.move_to(status, at=now, worker=attempt.worker))
    return job
