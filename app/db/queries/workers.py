"""SQL of worker processes and the queue. Functions take a session and never commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.core.enums import JobStatus, Priority
from app.db.tables.jobs import Job
from app.db.tables.workers import Worker

_RECENT_JOBS = 100


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A live process and the job that it runs."""

    worker: Worker
    job_id: UUID | None
    tenant: str | None
    """Owner of the job."""


def report_workers(session: Session, names: Sequence[str], *, model: str) -> None:
    """Insert the processes that are new, and set the time of all."""
    now = func.clock_timestamp()
    rows = upsert(Worker).values([{"name": name, "model": model, "started_at": now, "seen_at": now} for name in names])
    session.execute(rows.on_conflict_do_update(index_elements=["name"], set_={"seen_at": rows.excluded.seen_at}))


def remove_workers(session: Session, names: Sequence[str]) -> None:
    """Delete processes that have ended."""
    session.execute(delete(Worker).where(Worker.name.in_(names)))


def remove_silent_workers(session: Session, *, older_than: timedelta) -> None:
    """Delete the processes that were not reported for a duration."""
    session.execute(delete(Worker).where(Worker.seen_at < func.clock_timestamp() - older_than))


def list_workers(session: Session, *, seen_within: timedelta) -> list[RunningWorker]:
    """Return the live processes with their jobs, by name."""
    query = (
        select(Worker, Job.id, Job.tenant)
        .outerjoin(Job, (Job.lease_owner == Worker.name) & (Job.status == JobStatus.RUNNING))
        .where(Worker.seen_at > func.clock_timestamp() - seen_within)
        .order_by(Worker.name)
    )
    return [RunningWorker(*row) for row in session.execute(query)]


def count_workers(session: Session, *, seen_within: timedelta) -> int:
    """Count the live processes."""
    query = select(func.count()).where(Worker.seen_at > func.clock_timestamp() - seen_within)
    return session.execute(query).scalar_one()


def count_queued(session: Session) -> dict[Priority, int]:
    """Count the queued jobs by priority."""
    jobs = func.count().label("jobs")
    query = select(Job.priority, jobs).where(Job.status == JobStatus.QUEUED).group_by(Job.priority)
    return {row.priority: row.jobs for row in session.execute(query)}


def count_running(session: Session) -> int:
    """Count the running jobs."""
    return session.execute(select(func.count()).where(Job.status == JobStatus.RUNNING)).scalar_one()


def find_oldest_queued(session: Session) -> datetime | None:
    """Return the time since which the oldest queued job waits."""
    return session.execute(select(func.min(Job.queued_at)).where(Job.status == JobStatus.QUEUED)).scalar_one()


def measure_job_seconds(session: Session) -> float | None:
    """Return the median duration of the newest jobs that succeeded on a worker; None if there are none."""
    newest = (
        select(func.extract("epoch", Job.finished_at - Job.started_at).label("seconds"))
        .where(Job.status == JobStatus.SUCCEEDED, Job.started_at.is_not(None), Job.deduplicated_from.is_(None))
        .order_by(Job.id.desc())
        .limit(_RECENT_JOBS)
        .subquery()
    )
    median = func.percentile_cont(0.5).within_group(newest.c.seconds)
    seconds: float | None = session.execute(select(median)).scalar_one()
    return seconds
