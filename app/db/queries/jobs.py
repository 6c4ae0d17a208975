"""The SQL of jobs; ``submissions``, ``tenants``, ``webhooks`` have the rest. None of it ever commits."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, false, func, select, union, update
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from app.core.enums import JobStatus, Phase, Verdict
from app.db.tables.jobs import Feedback, Job, Transition
from app.db.tables.uploads import ClipUpload


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; None means any."""

    status: JobStatus | None = None
    verdict: Verdict | None = None
    sha256: str | None = None
    external_id: str | None = None
    created_after: datetime | None = None
    batch_id: UUID | None = None


def find_job(session: Session, job_id: UUID, *, tenant: str, for_share: bool = False) -> Job | None:
    """A job of a tenant, with its result; held, it is as it is now and stays so until the transaction ends."""
    query = _with_result().where(Job.id == job_id, Job.tenant == tenant)
    if for_share:
        query = query.with_for_update(of=Job, read=True).execution_options(populate_existing=True)
    return session.scalars(query).one_or_none()


def find_job_for_update(session: Session, job_id: UUID, *, tenant: str) -> Job | None:
    """A locked job of a tenant."""
    query = select(Job).where(Job.id == job_id, Job.tenant == tenant)
    return session.scalars(query.with_for_update()).one_or_none()


def list_jobs(session: Session, *, tenant: str, where: JobFilter, before: UUID | None, limit: int) -> Sequence[Job]:
    """A tenant's jobs that were not deleted, newest first; ids are UUIDv7, so their order is that of creation."""
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
    chosen = [compare(column, value) for compare, column, value in conditions if value is not None]
    return session.scalars(query.where(*chosen).order_by(Job.id.desc()).limit(limit)).all()


def _with_result() -> Select[Job]:
    return select(Job).options(joinedload(Job.result))


def count_queued_before(session: Session, job: Job) -> int:
    """How many queued jobs will be claimed before this one."""
    ahead = (Job.turn_at, Job.id)
    query = select(func.count()).where(Job.status == JobStatus.QUEUED, func.row(*ahead) < func.row(job.turn_at, job.id))
    return session.execute(query).scalar_one()


def find_next_queued(session: Session) -> Job | None:
    """The job whose turn it is, locked; jobs that another worker is claiming, or that are too late, are passed over."""
    query = (
        select(Job)
        .where(Job.status == JobStatus.QUEUED, ~_is_late())
        .order_by(Job.turn_at, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return session.execute(query).scalar_one_or_none()


def find_running(session: Session, job_id: UUID, *, attempt: int) -> Job | None:
    """The job, locked, if this attempt still owns it: the fence before every write of a worker."""
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
    """Extends the lease and stores the progress. False: the attempt does not own the job any more."""
    phase, done, total = progress
    statement = (
        update(Job)
        .where(Job.id == job_id, Job.attempt == attempt, Job.status == JobStatus.RUNNING)
        .values(lease_until=func.clock_timestamp() + lease, phase=phase, progress_done=done, progress_total=total)
    )
    return session.execute(statement.returning(Job.id)).scalar_one_or_none() is not None


def list_expired(session: Session) -> Sequence[Job]:
    """Running jobs whose lease has run out, locked."""
    query = select(Job).where(Job.status == JobStatus.RUNNING, Job.lease_until < func.clock_timestamp())
    return session.execute(query.with_for_update(skip_locked=True)).scalars().all()


def list_late(session: Session) -> Sequence[Job]:
    """Queued jobs that did not start before their deadline, locked."""
    query = select(Job).where(Job.status == JobStatus.QUEUED, _is_late())
    return session.execute(query.with_for_update(skip_locked=True)).scalars().all()


def _is_late() -> ColumnElement[bool]:
    """A job that has started once, and lost its worker, has kept its deadline."""
    is_over = func.coalesce(Job.start_before < func.clock_timestamp(), false())
    return and_(is_over, Job.started_at.is_(None))


def list_ended(session: Session, *, older_than: timedelta, with_clip: bool, limit: int) -> Sequence[Job]:
    """Jobs that ended longer ago than this and were not deleted, locked; ``with_clip``: that still for_share their clip."""
    query = select(Job).where(Job.finished_at < func.clock_timestamp() - older_than, Job.deleted_at.is_(None))
    if with_clip:
        query = query.where(Job.clip_deleted_at.is_(None), Job.clip_sha256.is_not(None))
    return session.scalars(query.order_by(Job.finished_at).limit(limit).with_for_update(skip_locked=True)).all()


def list_queued_ids(session: Session, *, older_than: timedelta, limit: int) -> Sequence[UUID]:
    """Jobs that have waited longer than this, the oldest first."""
    query = select(Job.id).where(Job.status == JobStatus.QUEUED, Job.queued_at < func.clock_timestamp() - older_than)
    return session.execute(query.order_by(Job.turn_at, Job.id).limit(limit)).scalars().all()


def list_used_clips(session: Session, sha256s: Sequence[str]) -> set[str]:
    """Those of these bytes that a job holds, or an upload of which no job was made yet."""
    jobs = select(Job.clip_sha256).where(Job.clip_sha256.in_(sha256s), Job.clip_deleted_at.is_(None))
    uploads = select(ClipUpload.clip_sha256).where(ClipUpload.clip_sha256.in_(sha256s), ClipUpload.used_at.is_(None))
    return {sha256 for sha256 in session.execute(union(jobs, uploads)).scalars() if sha256}


def find_holder(session: Session, sha256: str, *, tenant: str) -> Job | None:
    """The newest job of a tenant that holds these bytes, locked so that it goes on doing so."""
    query = select(Job).where(Job.tenant == tenant, Job.clip_sha256 == sha256, Job.clip_deleted_at.is_(None))
    return session.scalars(query.order_by(Job.id.desc()).limit(1).with_for_update(read=True)).one_or_none()


def list_transitions(session: Session, job_id: UUID, *, after: int) -> Sequence[Transition]:
    """What has happened to a job after a transition, in order."""
    query = select(Transition).where(Transition.job_id == job_id, Transition.id > after)
    return session.scalars(query.order_by(Transition.id)).all()


def list_feedback(session: Session, job_id: UUID) -> Sequence[Feedback]:
    """What was said of a job's clip, in order."""
    return session.scalars(select(Feedback).where(Feedback.job_id == job_id).order_by(Feedback.id)).all()
