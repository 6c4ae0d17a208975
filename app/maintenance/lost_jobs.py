"""Requeue or fail jobs whose lease expired, and expire jobs that missed their deadline."""

from sqlalchemy.orm import Session

from app.core.enums import FailureCode, JobStatus
from app.db.queries import jobs as job_queries
from app.db.tables.jobs import Job
from app.services.lifecycle import move_job


def requeue_lost_jobs(session: Session, *, max_attempts: int) -> list[Job]:
    """Requeue the jobs whose lease has expired; fail those that lost ``max_attempts`` workers. Returns all of them."""
    with session.begin():
        lost = job_queries.list_expired(session)
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
