"""Insert jobs and announce their transitions, in the caller's transaction."""

from sqlalchemy import event, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Mapper, Session

from app.db.queries import webhook_outbox
from app.db.tables.jobs import Job, Transition

JOB_CHANNEL = "unmask_jobs"
"""Postgres channel on which every transition is announced, with the job's id."""


@event.listens_for(Transition, "after_insert")
def _announce_transition(_mapper: Mapper[Transition], connection: Connection, transition: Transition) -> None:
    """Wakes the requests that wait for the job, and writes its webhook events: at the commit, or never."""
    connection.execute(select(func.pg_notify(JOB_CHANNEL, str(transition.job_id))))
    webhook_outbox.add_events_of_transition(connection, transition)


def add_job(session: Session, job: Job) -> None:
    """Inserts a queued job with the first line of its history."""
    session.add(job)
    session.flush()
    session.add(Transition(job_id=job.id, status=job.status, attempt=0, worker=None, at=job.created_at))
