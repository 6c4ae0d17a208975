"""Requeue or fail jobs whose lease expired, and expire jobs that missed their deadline."""

from sqlalchemy.orm import Session

from app.core.enums import FailureCode, JobStatus
from app.db.queries import jobs as job_queries
from app.db.tables.jobs import Job
from app.services.lifecycle import move_job


def requeue_lost_jobs(session: Session, *, max_attempts: int, worker: str | None = None) -> list[Job]:
    """Requeue the jobs that lost their worker; fail those that lost ``max_attempts`` workers. Returns all of them.

    Args:
        session: Has no transaction yet.
        max_attempts: Number of workers that a job may lose.
        worker: Worker that has ended, so that its jobs are lost before their leases expire.
    """
    with session.begin():
        lost = job_queries.list_lost(session, worker=worker)
        for job in lost:
            job.lost_attempts += 1
            worker = job.lease_owner
            if job.lost_attempts < max_attempts:
                move_job(session, job, JobStatus.QUEUED, worker=worker)
                continue
            job.failure_code, job.failure_retryable = FailureCode.WORKER_LOST, True
            job.failure_message = f"The worker was lost in each of {job.lost_attempts} attempts."
            move_job(session, job, JobStatus.FAILED, worker=worker)
        return list(lost)


def expire_late_jobs(session: Session) -> list[Job]:
    """Expire the jobs that did not start before their deadline. Returns them."""
    with session.begin():
        late = job_queries.list_late(session)
        for job in late:
            move_job(session, job, JobStatus.EXPIRED)
        return list(late)
