"""The routes of batches: signatures; the work is in services."""

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool

from app import submission_schemas as schemas
from app.api import openapi
from app.api.dependencies import BatchId, Reader, ResourcesDep, SessionDep, Writer
from app.api.intake import submit
from app.api.jobs import IdempotencyKey
from app.services import batches, submissions

router = APIRouter(prefix="/v1/batches", tags=["jobs"], responses=openapi.KEYED)


@router.post("", status_code=202, summary="Submit a batch", responses=openapi.problems(404, 409, 422))
async def submit_batch(
    resources: ResourcesDep, writer: Writer, body: schemas.BatchRequest, idempotency_key: IdempotencyKey = None
) -> schemas.Batch:
    """Queues up to 100 jobs, all or none; the pointers of an error say which item is wrong.

    When the last job has ended, the webhooks get `batch.completed`.
    """
    async with resources.hold_key(idempotency_key, writer.tenant) as ticket:
        batch_id = await submit(resources, writer, submissions.submit_batch, request=body, ticket=ticket)
    return await run_in_threadpool(resources.in_session, batches.get_batch, batch_id, tenant=writer.tenant)


@router.get("/{batch_id}", summary="Read a batch", responses=openapi.problems(404))
def get_batch(session: SessionDep, reader: Reader, batch_id: BatchId) -> schemas.Batch:
    """How many of its jobs have which status."""
    return batches.get_batch(session, batch_id, tenant=reader.tenant)
