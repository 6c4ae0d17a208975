"""SQL of transitions: the history of jobs, and the notification of requests that wait for one."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables.jobs import Transition

JOB_CHANNEL = "unmask_jobs"
"""Postgres channel on which each transition is announced with the job's id."""


def list_transitions(session: Session, job_id: UUID, *, after: int) -> Sequence[Transition]:
    """Return the transitions of a job with a larger id than ``after``, in order."""
    query = select(Transition).where(Transition.job_id == job_id, Transition.id > after)
    return session.scalars(query.order_by(Transition.id)).all()


def notify_waiters(session: Session, job_id: UUID) -> None:
    """Notify requests that wait for a job. Postgres sends the notification at the commit."""
    session.execute(select(func.pg_notify(JOB_CHANNEL, str(job_id))))
