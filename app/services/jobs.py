"""What clients do with jobs: read, list, cancel, delete. One function is one transaction."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import EventType, JobStatus
from app.core.errors import GoneError, NoResultError, NotCancelableError, NotFoundError
from app.db.engine import db_now
from app.db.queries import jobs as job_queries
from app.db.queries import results as result_queries
from app.db.queries.webhook_outbox import add_job_event
from app.db.tables.jobs import Feedback, Job, Transition
from app.db.tables.results import FrameScore, Result
from app.infra.clip_storage import ClipStorage
from app.schemas.feedback import FeedbackRequest
from app.services import audit, deletion

_NO_JOB = "There is no such job. Check the id, or list your jobs with GET /v1/jobs."


def get_job(session: Session, job_id: UUID, *, tenant: str) -> tuple[Job, int | None]:
    """A job with its result, and its place in the queue while it waits.

    Raises:
        NotFoundError: There is no such job, or it is another tenant's.
        GoneError: It was deleted.
    """
    with session.begin():
        job = require_job(job_queries.find_job(session, job_id, tenant=tenant))
        is_queued = job.status is JobStatus.QUEUED
        return job, job_queries.count_queued_before(session, job) if is_queued else None


def get_result(session: Session, job_id: UUID, *, tenant: str) -> Result:
    """The result of a job that succeeded.

    Raises:
        NotFoundError, GoneError: As ``get_job``.
        NoResultError: The job has not ended, or ended without a result.
    """
    job, _ = get_job(session, job_id, tenant=tenant)
    return require_result(job)


def require_result(job: Job) -> Result:
    """The result of a job that was loaded with it. Raises NoResultError."""
    if job.result is not None:
        return job.result
    if job.status.is_final:
        raise NoResultError(f"The job is {job.status} and has no result. GET /v1/jobs/{job.public_id} says why.")
    raise NoResultError(
        f"The job is still {job.status}. Ask again, or wait with GET /v1/jobs/{job.public_id}?wait=30.",
        retry_after_seconds=1,
    )


def list_frames(session: Session, job_id: UUID, *, tenant: str, after: int | None, limit: int) -> Sequence[FrameScore]:
    """Frames of a job behind a position, None: from the first one. Raises as ``get_result``."""
    get_result(session, job_id, tenant=tenant)
    with session.begin():
        return result_queries.list_frames(session, job_id, after=after, limit=limit)


def list_jobs(
    session: Session, *, tenant: str, where: job_queries.JobFilter, before: UUID | None, limit: int
) -> Sequence[Job]:
    """A tenant's jobs, newest first."""
    with session.begin():
        return job_queries.list_jobs(session, tenant=tenant, where=where, before=before, limit=limit)


def list_transitions(session: Session, job_id: UUID, *, tenant: str, after: int) -> tuple[Sequence[Transition], Job]:
    """What has happened to a job after a transition, and the job as it is. Raises NotFoundError.

    A job that is deleted meanwhile goes on to tell how it ended.
    """
    with session.begin():
        job = job_queries.find_job(session, job_id, tenant=tenant)
        if job is None:
            raise NotFoundError(_NO_JOB)
        return job_queries.list_transitions(session, job_id, after=after), job


def add_feedback(session: Session, job_id: UUID, *, tenant: str, key_id: str, feedback: FeedbackRequest) -> Feedback:
    """Notes what a person says of a job's clip and tells the webhooks. Raises NotFoundError, GoneError."""
    with session.begin():
        job = require_job(job_queries.find_job(session, job_id, tenant=tenant))
        row = Feedback(job_id=job.id, key_id=key_id, created_at=db_now(session), **dict(feedback))
        session.add(row)
        audit.record(session, "feedback.added", job.public_id, tenant=tenant)
        add_job_event(session, job.id, EventType.JOB_FEEDBACK, {"label": feedback.label, "category": feedback.category})
        return row


def list_feedback(session: Session, job_id: UUID, *, tenant: str) -> Sequence[Feedback]:
    """What was said of a job's clip. Raises NotFoundError, GoneError."""
    with session.begin():
        return job_queries.list_feedback(session, require_job(job_queries.find_job(session, job_id, tenant=tenant)).id)


def cancel_job(session: Session, job_id: UUID, *, tenant: str) -> None:
    """Ends a job that has not ended; a worker that is busy with it finds out at its next heartbeat.

    Raises:
        NotFoundError, GoneError: As ``get_job``.
        NotCancelableError: The job has ended.
    """
    with session.begin():
        job = require_job(job_queries.find_job_for_update(session, job_id, tenant=tenant))
        if job.status.is_final:
            raise NotCancelableError(f"The job has ended already: it is {job.status}.")
        session.add(job.move_to(JobStatus.CANCELED, at=db_now(session)))
        audit.record(session, "job.canceled", job.public_id, tenant=tenant)


def delete_job(session: Session, storage: ClipStorage, job_id: UUID, *, tenant: str) -> None:
    """Cancels the job if need be and removes its clip, frames and result; a tombstone stays.

    Raises:
        NotFoundError: There is no such job.
        GoneError: It was deleted before.
    """
    with session.begin():
        job = require_job(job_queries.find_job_for_update(session, job_id, tenant=tenant))
        if not job.status.is_final:
            session.add(job.move_to(JobStatus.CANCELED, at=db_now(session)))
        deletion.mark_deleted(session, job)
    deletion.delete_clip_if_unreferenced(session, storage, job.clip_sha256)


def require_job(job: Job | None) -> Job:
    """The job, if it is one that was not deleted. Raises NotFoundError, GoneError."""
    if job is None:
        raise NotFoundError(_NO_JOB)
    if job.deleted_at is not None:
        raise GoneError(f"This job was deleted at {job.deleted_at.isoformat()}.")
    return job
