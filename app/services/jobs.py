"""Use cases of jobs: read, list, cancel, delete. One function is one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import EventType, JobStatus
from app.core.errors import GoneError, NoResultError, NotCancelableError, NotFoundError
from app.db.engine import db_now
from app.db.queries import jobs as job_queries
from app.db.queries import results as result_queries
from app.db.queries import transitions
from app.db.tables.jobs import Feedback, Job, Transition
from app.db.tables.results import FrameScore, Result
from app.infra.clip_storage import ClipStorage
from app.schemas.feedback import FeedbackRequest
from app.services import audit, deletion
from app.services.lifecycle import move_job
from app.services.webhook_events import emit_job_event

_NO_JOB = "No job has this id. Check it, or list your jobs with GET /v1/jobs."


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job with its result, as it was at one moment."""

    job: Job
    queue_position: int | None = None
    """Number of jobs in front of it; None if it is not queued."""


def get_job(session: Session, job_id: UUID, *, tenant: str) -> JobSnapshot:
    """Return a job.

    Raises:
        NotFoundError: The tenant has no such job.
        GoneError: It was deleted.
    """
    with session.begin():
        job = require_job(job_queries.find_job(session, job_id, tenant=tenant))
        is_queued = job.status is JobStatus.QUEUED
        return JobSnapshot(job, job_queries.count_queued_before(session, job) if is_queued else None)


def get_result(session: Session, job_id: UUID, *, tenant: str) -> Result:
    """Return the result of a job that succeeded.

    Raises:
        NotFoundError, GoneError: As ``get_job``.
        NoResultError: The job has not ended, or ended without a result.
    """
    return require_result(get_job(session, job_id, tenant=tenant).job)


def require_result(job: Job) -> Result:
    """Return the result of a job that was loaded with it. Raises NoResultError."""
    if job.result is not None:
        return job.result
    if job.status.is_final:
        raise NoResultError(f"The job is {job.status} and has no result. Read GET /v1/jobs/{job.public_id}.")
    raise NoResultError(
        f"The job is {job.status}. Ask again, or wait with GET /v1/jobs/{job.public_id}?wait=30.",
        retry_after_seconds=1,
    )


def list_frames(session: Session, job_id: UUID, *, tenant: str, after: int | None, limit: int) -> Sequence[FrameScore]:
    """Return frames of a job after a position; None starts with the first. Raises as ``get_result``."""
    get_result(session, job_id, tenant=tenant)
    with session.begin():
        return result_queries.list_frames(session, job_id, after=after, limit=limit)


def list_jobs(
    session: Session, *, tenant: str, where: job_queries.JobFilter, before: UUID | None, limit: int
) -> Sequence[Job]:
    """Return a tenant's jobs, newest first."""
    with session.begin():
        return job_queries.list_jobs(session, tenant=tenant, where=where, before=before, limit=limit)


def list_transitions(session: Session, job_id: UUID, *, tenant: str, after: int) -> tuple[Sequence[Transition], Job]:
    """Return the transitions of a job after one of them, and the job. Raises NotFoundError.

    Works for deleted jobs, too: a stream that follows the job must learn how it ended.
    """
    with session.begin():
        job = job_queries.find_job(session, job_id, tenant=tenant)
        if job is None:
            raise NotFoundError(_NO_JOB)
        return transitions.list_transitions(session, job_id, after=after), job


def add_feedback(session: Session, job_id: UUID, *, tenant: str, key_id: str, feedback: FeedbackRequest) -> Feedback:
    """Store a person's label of a clip and emit ``job.feedback``. Raises NotFoundError, GoneError."""
    with session.begin():
        job = require_job(job_queries.find_job(session, job_id, tenant=tenant))
        row = Feedback(job_id=job.id, key_id=key_id, created_at=db_now(session), **dict(feedback))
        session.add(row)
        audit.record(session, "feedback.added", job.public_id, tenant=tenant)
        emit_job_event(session, job, EventType.JOB_FEEDBACK, {"label": feedback.label, "category": feedback.category})
        return row


def list_feedback(session: Session, job_id: UUID, *, tenant: str) -> Sequence[Feedback]:
    """Return all feedback on a job, in order. Raises NotFoundError, GoneError."""
    with session.begin():
        job = require_job(job_queries.find_job(session, job_id, tenant=tenant))
        return job_queries.list_feedback(session, job.id)


def cancel_job(session: Session, job_id: UUID, *, tenant: str) -> None:
    """End a job that has not ended. Its worker stops at the next heartbeat.

    Raises:
        NotFoundError, GoneError: As ``get_job``.
        NotCancelableError: The job has ended.
    """
    with session.begin():
        job = require_job(job_queries.find_job_for_update(session, job_id, tenant=tenant))
        if job.status.is_final:
            raise NotCancelableError(f"The job has already ended: it is {job.status}.")
        move_job(session, job, JobStatus.CANCELED)
        audit.record(session, "job.canceled", job.public_id, tenant=tenant)


def delete_job(session: Session, storage: ClipStorage, job_id: UUID, *, tenant: str) -> None:
    """Cancel the job if it has not ended, and remove its clip, frames and result. A tombstone remains.

    Raises:
        NotFoundError: The tenant has no such job.
        GoneError: It was deleted before.
    """
    with session.begin():
        job = require_job(job_queries.find_job_for_update(session, job_id, tenant=tenant))
        if not job.status.is_final:
            move_job(session, job, JobStatus.CANCELED)
        deletion.mark_deleted(session, job)
    deletion.delete_clip_if_unreferenced(session, storage, job.clip_sha256)


def require_job(job: Job | None) -> Job:
    """Return the job if it exists and was not deleted. Raises NotFoundError, GoneError."""
    if job is None:
        raise NotFoundError(_NO_JOB)
    if job.deleted_at is not None:
        raise GoneError(f"This job was deleted at {job.deleted_at.isoformat()}.")
    return job
