"""SQL of batches. Functions take a session and never commit."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.core.enums import JobStatus
from app.db.tables.batches import Batch
from app.db.tables.jobs import Job

_FINAL = [status for status in JobStatus if status.is_final]


def find_batch(session: Session, batch_id: UUID, *, tenant: str) -> Batch | None:
    """Return a batch of a tenant."""
    return session.scalars(select(Batch).where(Batch.id == batch_id, Batch.tenant == tenant)).one_or_none()


def list_statuses(session: Session, batch_id: UUID) -> list[tuple[UUID, JobStatus]]:
    """Return id and status of the jobs of a batch in the order of its items, including deleted ones."""
    query = select(Job.id, Job.status).where(Job.batch_id == batch_id).order_by(Job.id)  # ids rise with time
    return [(row.id, row.status) for row in session.execute(query)]


def complete_batches(session: Session) -> Sequence[Batch]:
    """Mark and return the batches whose jobs have all ended. A concurrent call does not return the same batches."""
    has_open_jobs = select(Job.id).where(Job.batch_id == Batch.id, Job.status.not_in(_FINAL)).exists()
    statement = (
        update(Batch).where(Batch.completed_at.is_(None), ~has_open_jobs).values(completed_at=func.clock_timestamp())
    )
    return session.scalars(statement.returning(Batch)).all()
