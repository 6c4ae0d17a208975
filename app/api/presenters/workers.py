"""Present workers and the queue."""

from collections.abc import Sequence

from app.core.ids import IdPrefix, format_id
from app.db.queries.workers import RunningWorker
from app.schemas import workers as schemas
from app.services.workers import QueueStatus


def present_workers(running: Sequence[RunningWorker], *, tenant: str) -> schemas.WorkerList:
    """Return the worker processes as a tenant sees them."""
    items = [
        schemas.Worker(
            name=found.worker.name,
            model=found.worker.model,
            busy=found.job_id is not None,
            job_id=format_id(IdPrefix.JOB, found.job_id) if found.job_id and found.tenant == tenant else None,
            started_at=found.worker.started_at,
            seen_at=found.worker.seen_at,
        )
        for found in running
    ]
    return schemas.WorkerList(items=items)


def present_queue(status: QueueStatus) -> schemas.Queue:
    """Return the state of the queue as clients see it."""
    return schemas.Queue.model_validate(status, from_attributes=True)
