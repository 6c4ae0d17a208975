"""The only two writers of a job's status. Each publishes the change in the caller's transaction."""

from datetime import timedelta

from sqlalchemy.orm import Session

from app.core.enums import JobStatus
from app.db.engine import db_now
from app.db.queries import transitions
from app.db.tables.jobs import Job, Transition
from app.services import webhook_events


def create_job(session: Session, job: Job) -> None:
    """Insert a job with the status ``queued`` and publish it."""
    job.status = JobStatus.QUEUED
    session.add(job)
    session.flush()
    _publish(session, job, Transition(job_id=job.id, status=job.status, attempt=0, worker=None, at=job.created_at))


def move_job(
    session: Session, job: Job, status: JobStatus, *, worker: str | None = None, lease: timedelta | None = None
) -> Transition:
    """Change a job's status and publish the change.

    Args:
        session: In the caller's transaction.
        job: The job, locked.
        status: The new status.
        worker: The worker that moves the job, or that held it.
        lease: Duration of the worker's lease; only for ``running``.

    Returns:
        The transition; its time is the database's.

    Raises:
        IllegalTransitionError: ``NEXT_STATUSES`` does not allow the change.
    """
    with session.no_autoflush:  # one UPDATE for the status and what the caller has changed
        now = db_now(session)
    transition = job.move_to(status, at=now, worker=worker)
    if lease is not None:
        job.lease_owner, job.lease_until = worker, transition.at + lease
    _publish(session, job, transition)
    return transition


def _publish(session: Session, job: Job, transition: Transition) -> None:
    session.add(transition)
    session.flush()  # the lock order of tests/e2e/test_races.py: job, then webhook endpoints
    webhook_events.emit_transition(session, job, transition)  # visible to the dispatcher after the commit
    transitions.notify_waiters(session, transition.job_id)
