"""What clients do with jobs: submit, read, list, cancel, delete. One function is one transaction."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.broker import Doorbell
from app.db import repositories
from app.db.models import Feedback, FrameScore, Job, Result, Transition
from app.db.webhooks import add_job_event
from app.egress import Guard
from app.errors import FieldError, GoneError, InvalidRequestError, NoResultError, NotCancelableError, NotFoundError
from app.schemas import FeedbackRequest, JobOptions
from app.services import retention, webhooks
from app.services.idempotency import Ticket, fingerprint_of, use_key
from app.states import EventType, JobStatus, Priority
from app.storage import ClipStorage, Upload

_NO_JOB = "There is no such job. Check the id, or list your jobs with GET /v1/jobs."


def submit_job(
    session: Session,
    storage: ClipStorage,
    doorbell: Doorbell,
    *,
    tenant: str,
    upload: Upload,
    clip_name: str | None,
    options: JobOptions,
    models: Collection[str],
    guard: Guard,
    batch_delay: timedelta,
    ticket: Ticket | None = None,
) -> UUID:
    """Queues a job for an uploaded clip; after the commit it can no longer be lost.

    Args:
        session: Has no transaction yet.
        storage: Keeps the clip.
        doorbell: Is rung for the workers.
        tenant: Whose job it is.
        upload: The clip.
        clip_name: What the client calls it.
        options: What the client says about it.
        models: The names of the installed models.
        guard: Where webhooks may go.
        batch_delay: How long batch jobs let live ones pass.
        ticket: The request's Idempotency-Key; one that was used leads to its job.

    Raises:
        InvalidRequestError: The model that the client names is not installed, or webhooks do not go to its URL.
        IdempotencyMismatchError: The key belongs to another submission.
        IdempotencyInProgressError: Another request has taken the key meanwhile.
        StorageFullError: The clip could not be written to the disk.
    """
    _check_model(options.model, models)
    if options.webhook_url:
        webhooks.check_url(guard, options.webhook_url, pointer="/options/webhook_url")
    sha256 = upload.finish()
    fingerprint = fingerprint_of(sha256, options)
    if ticket and ticket.job_id:
        ticket.check(fingerprint)
        return ticket.job_id
    with session.begin():
        url, now = options.webhook_url, repositories.database_time(session)
        deadline = options.start_within_seconds
        job = Job(
            webhook_endpoint_id=webhooks.find_or_add_named(session, tenant=tenant, url=url) if url else None,
            tenant=tenant,
            status=JobStatus.QUEUED,
            priority=options.priority,
            turn_at=now + (batch_delay if options.priority is Priority.BATCH else timedelta(0)),
            start_before=now + timedelta(seconds=deadline) if deadline else None,
            external_id=options.external_id,
            client_metadata=options.metadata,
            model=options.model,
            may_reuse=options.reuse_result,
            clip_name=clip_name,
            clip_sha256=sha256,
            clip_bytes=upload.size_bytes,
        )
        repositories.add_job(session, job)
        if ticket:
            use_key(session, ticket, job_id=job.id, fingerprint=fingerprint)
        # Last: a row that the database refuses must not leave a clip behind.
        repositories.lock_clip(session, sha256)
        storage.keep(upload, sha256)
    doorbell.ring(job.id)
    return job.id


def get_job(session: Session, job_id: UUID, *, tenant: str) -> tuple[Job, int | None]:
    """A job with its result, and its place in the queue while it waits.

    Raises:
        NotFoundError: There is no such job, or it is another tenant's.
        GoneError: It was deleted.
    """
    with session.begin():
        job = _existing(repositories.find_job(session, job_id, tenant=tenant))
        is_queued = job.status is JobStatus.QUEUED
        return job, repositories.count_queued_before(session, job) if is_queued else None


def get_result(session: Session, job_id: UUID, *, tenant: str) -> Result:
    """The result of a job that succeeded.

    Raises:
        NotFoundError, GoneError: As ``get_job``.
        NoResultError: The job has not ended, or ended without a result.
    """
    job, _ = get_job(session, job_id, tenant=tenant)
    if job.result is not None:
        return job.result
    if job.status.is_final:
        raise NoResultError(f"The job is {job.status} and has no result. GET /v1/jobs/{job.public_id} says why.")
    raise NoResultError(
        f"The job is still {job.status}. Ask again, or wait with GET /v1/jobs/{job.public_id}?wait=30.",
        retry_after_seconds=1,
    )


def list_frames(session: Session, job_id: UUID, *, tenant: str, after: int, limit: int) -> Sequence[FrameScore]:
    """Frames of a job behind a position. Raises as ``get_result``."""
    get_result(session, job_id, tenant=tenant)
    with session.begin():
        return repositories.list_frames(session, job_id, after=after, limit=limit)


def list_jobs(
    session: Session, *, tenant: str, where: repositories.JobFilter, before: UUID | None, limit: int
) -> Sequence[Job]:
    """A tenant's jobs, newest first."""
    with session.begin():
        return repositories.list_jobs(session, tenant=tenant, where=where, before=before, limit=limit)


def list_transitions(session: Session, job_id: UUID, *, tenant: str, after: int) -> tuple[Sequence[Transition], Job]:
    """What has happened to a job after a transition, and the job as it is. Raises NotFoundError.

    A job that is deleted meanwhile goes on to tell how it ended.
    """
    with session.begin():
        job = repositories.find_job(session, job_id, tenant=tenant)
        if job is None:
            raise NotFoundError(_NO_JOB)
        return repositories.list_transitions(session, job_id, after=after), job


def add_feedback(session: Session, job_id: UUID, *, tenant: str, key_id: str, feedback: FeedbackRequest) -> Feedback:
    """Notes what a person says of a job's clip and tells the webhooks. Raises NotFoundError, GoneError."""
    with session.begin():
        job = _existing(repositories.find_job(session, job_id, tenant=tenant))
        row = Feedback(job_id=job.id, key_id=key_id, created_at=repositories.database_time(session), **dict(feedback))
        session.add(row)
        add_job_event(session, job.id, EventType.JOB_FEEDBACK, {"label": feedback.label, "category": feedback.category})
        return row


def list_feedback(session: Session, job_id: UUID, *, tenant: str) -> Sequence[Feedback]:
    """What was said of a job's clip. Raises NotFoundError, GoneError."""
    with session.begin():
        return repositories.list_feedback(session, _existing(repositories.find_job(session, job_id, tenant=tenant)).id)


def cancel_job(session: Session, job_id: UUID, *, tenant: str) -> None:
    """Ends a job that has not ended; a worker that is busy with it finds out at its next heartbeat.

    Raises:
        NotFoundError, GoneError: As ``get_job``.
        NotCancelableError: The job has ended.
    """
    with session.begin():
        job = _existing(repositories.find_job_for_update(session, job_id, tenant=tenant))
        if job.status.is_final:
            raise NotCancelableError(f"The job has ended already: it is {job.status}.")
        session.add(job.move_to(JobStatus.CANCELED, at=repositories.database_time(session)))


def delete_job(session: Session, storage: ClipStorage, job_id: UUID, *, tenant: str) -> None:
    """Cancels the job if need be and removes its clip, frames and result; a tombstone stays.

    Raises:
        NotFoundError: There is no such job.
        GoneError: It was deleted before.
    """
    with session.begin():
        job = _existing(repositories.find_job_for_update(session, job_id, tenant=tenant))
        if not job.status.is_final:
            session.add(job.move_to(JobStatus.CANCELED, at=repositories.database_time(session)))
        retention.bury(session, job)
    retention.forget_clip(session, storage, job.clip_sha256)


def _check_model(name: str | None, models: Collection[str]) -> None:
    if name is not None and name not in models:
        known = f"Installed are: {', '.join(sorted(models))}." if models else "None is: leave it out."
        detail = f"The model {name!r} is not installed. {known}"
        raise InvalidRequestError(detail, errors=[FieldError("/options/model", detail)])


def _existing(job: Job | None) -> Job:
    """The job, if it is one that was not deleted. Raises NotFoundError, GoneError."""
    if job is None:
        raise NotFoundError(_NO_JOB)
    if job.deleted_at is not None:
        raise GoneError(f"This job was deleted at {job.deleted_at.isoformat()}.")
    return job
