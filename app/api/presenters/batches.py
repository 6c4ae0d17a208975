"""Present batches."""

from app.core.ids import IdPrefix, format_id
from app.schemas import batches as schemas
from app.services.batches import BatchSnapshot


def present_batch(snapshot: BatchSnapshot) -> schemas.Batch:
    """Return a batch as clients see it."""
    batch = snapshot.batch
    return schemas.Batch(
        id=batch.public_id,
        status=snapshot.status,
        counts=snapshot.counts,
        jobs=[
            schemas.BatchJob(index=index, id=format_id(IdPrefix.JOB, job_id), status=status)
            for index, (job_id, status) in enumerate(snapshot.jobs)
        ],
        created_at=batch.created_at,
        completed_at=batch.completed_at,
    )
