"""Jobs in the database, without the API."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session, joinedload, sessionmaker

from app.core.enums import JobStatus
from app.db.tables.jobs import Job
from app.maintenance.lost_jobs import requeue_lost_jobs
from app.services import attempts
from app.services.attempts import Attempt
from app.services.keys import DEFAULT_TENANT
from app.services.lifecycle import create_job

LEASE = timedelta(seconds=60)
EXPIRED = timedelta(seconds=-1)
"""Lease of an attempt whose worker was lost."""


def make_job(**columns: Any) -> Job:
    """Make a queued job. ``columns`` override its defaults."""
    defaults = {"tenant": DEFAULT_TENANT, "status": JobStatus.QUEUED, "client_metadata": {}}
    return Job(**(defaults | {"clip_sha256": "0" * 64, "clip_bytes": 1} | columns))


def queue_job(sessions: sessionmaker[Session], **columns: Any) -> UUID:
    """Insert a queued job. ``columns`` override its defaults."""
    with sessions() as session, session.begin():
        job = make_job(**columns)
        create_job(session, job)
        return job.id


def claim_next(sessions: sessionmaker[Session], *, lease: timedelta = LEASE) -> Attempt | None:
    """Claim the next queued job. Returns None if the queue is empty."""
    with sessions() as session:
        return attempts.claim_job(session, worker="w", lease=lease)


def claim_job(sessions: sessionmaker[Session], *, lease: timedelta = LEASE) -> Attempt:
    """Claim the next queued job, which must exist."""
    attempt = claim_next(sessions, lease=lease)
    assert attempt is not None
    return attempt


def requeue_lost(sessions: sessionmaker[Session], *, max_attempts: int = 3) -> list[JobStatus]:
    """Requeue or fail the jobs whose lease has expired, and return their statuses."""
    with sessions() as session:
        return [job.status for job in requeue_lost_jobs(session, max_attempts=max_attempts)]


def read_job(sessions: sessionmaker[Session], job_id: UUID) -> Job:
    """Return the row of a job with its result."""
    with sessions() as session:
        job = session.get(Job, job_id, options=[joinedload(Job.result)])
    assert job is not None
    return job
