"""SQL of jobs and their feedback. Functions take a session and never commit."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, union, update
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from app.core.enums import JobStatus, Phase, Verdict
from app.db.tables.jobs import Feedback, Job
from app.db.tables.uploads import ClipUpload


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Filter of a list of jobs; None matches all values."""

    status: JobStatus | None = None
    verdict: Verdict | None = None
    sha256: str | None = None
    external_id: str | None = None
    created_after: datetime | None = None
    batch_id: UUID | None = None


def find_job(session: Session, job_id: UUID, *, tenant: str, for_share: bool = False) -> Job | None:
    """Return a job of a tenant with its result.

    With ``for_share`` the row is reloaded and cannot change until the end of the transaction.
    """
    query = _with_result().where(Job.id == job_id, Job.tenant == tenant)
    if for_share:
        query = query.with_for_update(of=Job, read=True).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def find_job_for_update(session: Session, job_id: UUID, *, tenant: str) -> Job | None:
    """Return a job of a tenant, locked."""
    query = select(Job).where(Job.id == job_id, Job.tenant == tenant)
    return session.scalars(query.with_for_update()).one_or_none()


def list_jobs(session: Session, *, tenant: str, where: JobFilter, before: UUID | None, limit: int) -> Sequence[Job]:
    """Return a tenant's jobs that were not deleted, newest first. Ids are UUIDv7, which sort by creation time."""
    query = _with_result().where(Job.tenant == tenant, Job.deleted_at.is_(None))
    conditions: list[tuple[Callable[..., ColumnElement[bool]], InstrumentedAttribute[Any], object]] = [
        (operator.eq, Job.status, where.status),
        (operator.eq, Job.verdict, where.verdict),
        (operator.eq, Job.clip_sha256, where.sha256),
        (operator.eq, Job.external_id, where.external_id),
        (operator.gt, Job.created_at, where.created_after),
        (operator.eq, Job.batch_id, where.batch_id),
        (operator.lt, Job.id, before),
    ]
    active = [compare(column, value) for compare, column, value in conditions if value is not None]
    return session.scalars(query.where(*active).order_by(Job.id.desc()).limit(limit)).all()


def _with_result() -> Select[Job]:
    return select(Job).options(joinedload(Job.result))


def count_queued_before(session: Session, job: Job) -> int:
    """Count the queued jobs that will be claimed before this one."""
    queue_order = (Job.turn_at, Job.id)
    query = select(func.count()).where(
        Job.status == JobStatus.QUEUED, func.row(*queue_order) < func.row(job.turn_at, job.id)
    )
    return session.execute(query).scalar_one()


def find_next_queued(session: Session) -> Job | None:
    """Return the next job of the queue, locked. Skips late jobs and those that another worker is claiming."""
    query = (
        select(Job)
        .where(Job.status == JobStatus.QUEUED, ~_is_late())
        .order_by(Job.turn_at, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return session.execute(query).scalar_one_or_none()


def find_running(session: Session, job_id: UUID, *, attempt: int) -> Job | None:
    """Return the job, locked, if this attempt still owns it. This is the fence before every write of a worker."""
    query = select(Job).where(Job.id == job_id, Job.attempt == attempt, Job.status == JobStatus.RUNNING)
    return session.execute(query.with_for_update()).scalar_one_or_none()


def renew_lease(
    session: Session,
    job_id: UUID,
    *,
    attempt: int,
    lease: timedelta,
    progress: tuple[Phase, int, int | None],
) -> bool:
    """Extend the lease and store the progress. Returns False if the attempt no longer owns the job."""
    phase, done, total = progress
    statement = (
        update(Job)
        .where(Job.id == job_id, Job.attempt == attempt, Job.status == JobStatus.RUNNING)
        .values(lease_until=func.clock_timestamp() + lease, phase=phase, progress_done=done, progress_total=total)
    )
    return session.execute(statement.returning(Job.id)).scalar_one_or_none() is not None


def list_lost(session: Session, *, worker: str | None = None) -> Sequence[Job]:
    """Return the running jobs whose lease has expired, and those of a worker that has ended, locked."""
    is_of_worker = [Job.lease_owner == worker] if worker else []
    is_lost = or_(Job.lease_until < func.clock_timestamp(), *is_of_worker)
    query = select(Job).where(Job.status == JobStatus.RUNNING, is_lost)
    return session.execute(query.with_for_update(skip_locked=True)).scalars().all()


def list_late(session: Session) -> Sequence[Job]:
    """Return the queued jobs that did not start before their deadline, locked."""
    query = select(Job).where(Job.status == JobStatus.QUEUED, _is_late())
    return session.execute(query.with_for_update(skip_locked=True)).scalars().all()


def _is_late() -> ColumnElement[bool]:
    """Return the condition for a missed deadline. A job that started once and lost its worker has met it."""
    is_past = func.coalesce(Job.start_before < func.clock_timestamp(), false())
    return and_(is_past, Job.started_at.is_(None))


def list_ended(session: Session, *, older_than: timedelta, with_clip: bool, limit: int) -> Sequence[Job]:
    """Return the jobs that ended longer ago than a duration and were not deleted, locked.

    With ``with_clip`` only those whose clip was not deleted.
    """
    query = select(Job).where(Job.finished_at < func.clock_timestamp() - older_than, Job.deleted_at.is_(None))
    if with_clip:
        query = query.where(Job.clip_deleted_at.is_(None), Job.clip_sha256.is_not(None))
    return session.scalars(query.order_by(Job.finished_at).limit(limit).with_for_update(skip_locked=True)).all()


def list_queued_ids(session: Session, *, older_than: timedelta, limit: int) -> Sequence[UUID]:
    """Return the ids of jobs that have been queued longer than a duration, in queue order."""
    query = select(Job.id).where(Job.status == JobStatus.QUEUED, Job.queued_at < func.clock_timestamp() - older_than)
    return session.execute(query.order_by(Job.turn_at, Job.id).limit(limit)).scalars().all()


def list_known_ids(session: Session, job_ids: Sequence[UUID], *, tenant: str) -> set[UUID]:
    """Return which of these jobs the tenant has."""
    query = select(Job.id).where(Job.id.in_(job_ids), Job.tenant == tenant, Job.deleted_at.is_(None))
    return set(session.execute(query).scalars())


def list_used_clips(session: Session, sha256s: Sequence[str]) -> set[str]:
    """Return which of these clips are referenced by a job, or by an upload that no job has used yet."""
    jobs = select(Job.clip_sha256).where(Job.clip_sha256.in_(sha256s), Job.clip_deleted_at.is_(None))
    uploads = select(ClipUpload.clip_sha256).where(ClipUpload.clip_sha256.in_(sha256s), ClipUpload.used_at.is_(None))
    return {sha256 for sha256 in session.execute(union(jobs, uploads)).scalars() if sha256}


def find_job_with_clip(session: Session, sha256: str, *, tenant: str) -> Job | None:
    """Return the newest job of a tenant that references a clip, locked so that the reference remains."""
    query = select(Job).where(Job.tenant == tenant, Job.clip_sha256 == sha256, Job.clip_deleted_at.is_(None))
    return session.scalars(query.order_by(Job.id.desc()).limit(1).with_for_update(read=True)).one_or_none()


def list_feedback(session: Session, job_id: UUID) -> Sequence[Feedback]:
    """Return the feedback on a job, in order."""
    return session.scalars(select(Feedback).where(Feedback.job_id == job_id).order_by(Feedback.id)).all()
