"""Requeue or fail jobs whose lease expired, and expire jobs that missed their deadline."""

from sqlalchemy.orm import Session

from app.core.enums import FailureCode, JobStatus
from app.db.engine import db_now
from app.db.queries import jobs as job_queries
from app.db.tables.jobs import Job


def requeue_lost_jobs(session: Session, *, max_attempts: int) -> list[Job]:
    """Queues the jobs whose lease ran out again, or fails those that lost too many workers."""
    with session.begin():
        lost = job_queries.list_expired(session)
        now = db_now(session)
        for job in lost:
            job.lost_attempts += 1
            worker = job.lease_owner
            if job.lost_attempts < max_attempts:
                session.add(job.move_to(JobStatus.QUEUED, at=now, worker=worker))
                continue
            session.add(job.move_to(JobStatus.FAILED, at=now, worker=worker))
            job.failure_code, job.failure_retryable = FailureCode.WORKER_LOST, True
            job.failure_message = f"The worker was lost in each of {job.lost_attempts} attempts."
        return list(lost)


def expire_late_jobs(session: Session) -> list[Job]:
    """Ends the jobs that did not start before their deadline."""
    with session.begin():
        late = job_queries.list_late(session)
        now = db_now(session)
        session.add_all(job.move_to(JobStatus.EXPIRED, at=now) for job in late)
        return list(late)
