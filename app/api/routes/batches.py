"""The routes of batches: signatures; the work is in services."""

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool

from app.api import openapi
from app.api.dependencies import Reader, ResourcesDep, SessionDep, Writer
from app.api.ingest.submission import submit
from app.api.path_ids import BatchId
from app.api.routes.jobs import IdempotencyKey
from app.schemas import batches as schemas
from app.services import batches

router = APIRouter(prefix="/v1/batches", tags=["jobs"], responses=openapi.COMMON_ERRORS)


@router.post("", status_code=202, summary="Submit a batch", responses=openapi.problems(404, 409, 422))
async def submit_batch(
    resources: ResourcesDep, writer: Writer, body: schemas.BatchRequest, idempotency_key: IdempotencyKey = None
) -> schemas.Batch:
    """Queues up to 100 jobs, all or none; the pointers of an error say which item is wrong.

    When the last job has ended, the webhooks get `batch.completed`.
    """
    async with resources.idempotency_claim(idempotency_key, writer.tenant) as claim:
        batch_id = await submit(resources, writer, batches.submit_batch, request=body, claim=claim)
    return await run_in_threadpool(resources.in_session, batches.get_batch, batch_id, tenant=writer.tenant)


@router.get("/{batch_id}", summary="Read a batch", responses=openapi.problems(404))
def get_batch(session: SessionDep, reader: Reader, batch_id: BatchId) -> schemas.Batch:
    """How many of its jobs have which status."""
    return batches.get_batch(session, batch_id, tenant=reader.tenant)
