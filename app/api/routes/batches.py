"""Routes of batches."""

from functools import partial

from fastapi import APIRouter

from app.api.dependencies import IdempotencyKey, Reader, ResourcesDep, SessionDep, Writer
from app.api.ingest.submission import submit
from app.api.openapi import COMMON_ERRORS, problems
from app.api.path_ids import BatchId
from app.api.presenters.batches import present_batch
from app.api.sessions import run_in_session
from app.schemas import batches as schemas
from app.services import batches

router = APIRouter(prefix="/v1/batches", tags=["jobs"], responses=COMMON_ERRORS)


@router.post("", status_code=202, summary="Submit a batch", responses=problems(404, 409, 422))
async def submit_batch(
    resources: ResourcesDep, writer: Writer, body: schemas.BatchRequest, idempotency_key: IdempotencyKey = None
) -> schemas.Batch:
    """Queue up to 100 jobs, all or none. The pointers of an error name the item.

    When the last job has ended, `batch.completed` is sent to the webhook endpoints.
    """
    batch_id = await submit(resources, writer, idempotency_key, partial(batches.submit_batch, request=body))
    find = partial(batches.get_batch, batch_id=batch_id, tenant=writer.tenant)
    return present_batch(await run_in_session(resources.sessions, find))


@router.get("/{batch_id}", summary="Get a batch", responses=problems(404))
def get_batch(session: SessionDep, reader: Reader, batch_id: BatchId) -> schemas.Batch:
    """Get the status of its jobs."""
    return present_batch(batches.get_batch(session, batch_id, tenant=reader.tenant))
