"""Batches: how far they are, and who is told that they are complete."""

from uuid import UUID

from sqlalchemy.orm import Session

from app.db import submissions, webhooks
from app.db.submission_models import Batch
from app.errors import NotFoundError
from app.states import EventType, JobStatus
from app.submission_schemas import Batch as BatchView


def get_batch(session: Session, batch_id: UUID, *, tenant: str) -> BatchView:
    """A batch with the numbers of its jobs. Raises NotFoundError."""
    with session.begin():
        batch = submissions.find_batch(session, batch_id, tenant=tenant)
        if batch is None:
            raise NotFoundError("There is no such batch. Check the id that POST /v1/batches answered with.")
        return _view(session, batch)


def complete_batches(session: Session) -> list[BatchView]:
    """Tells the webhooks of the batches that have become complete."""
    with session.begin():
        completed = submissions.complete_batches(session)
        views = [_view(session, batch) for batch in completed]
        for batch, view in zip(completed, views, strict=True):
            data = view.model_dump(mode="json", include={"id", "status", "jobs", "completed_at"})
            webhooks.add_batch_event(session, batch, EventType.BATCH_COMPLETED, data)
        return views


def _view(session: Session, batch: Batch) -> BatchView:
    counts = submissions.count_jobs(session, batch.id)
    return BatchView(
        id=batch.public_id,
        status=_status_of(counts),
        jobs=counts,
        created_at=batch.created_at,
        completed_at=batch.completed_at,
    )


def _status_of(counts: dict[JobStatus, int]) -> str:
    succeeded = counts.get(JobStatus.SUCCEEDED, 0)
    if any(not status.is_final for status in counts):
        return "running"
    if succeeded == sum(counts.values()):
        return "succeeded"
    return "partially_failed" if succeeded else "failed"
