"""Present batches."""

from app.schemas import batches as schemas
from app.services.batches import BatchSnapshot


def present_batch(snapshot: BatchSnapshot) -> schemas.Batch:
    """Return a batch as clients see it."""
    batch = snapshot.batch
    return schemas.Batch(
        id=batch.public_id,
        status=snapshot.status,
        jobs=snapshot.counts,
        created_at=batch.created_at,
        completed_at=batch.completed_at,
    )
