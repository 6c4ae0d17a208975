"""Routes of operations: workers and the queue."""

from fastapi import APIRouter

from app.api.dependencies import Admin, Reader, SessionDep
from app.api.openapi import COMMON_ERRORS
from app.api.presenters.workers import present_queue, present_workers
from app.schemas import workers as schemas
from app.services import workers

router = APIRouter(prefix="/v1/workers", tags=["operations"], responses=COMMON_ERRORS)
queue_router = APIRouter(prefix="/v1/queue", tags=["operations"], responses=COMMON_ERRORS)


@router.get("", summary="List workers")
def list_workers(session: SessionDep, admin: Admin) -> schemas.WorkerList:
    """List the worker processes that were seen within the last minute, with the jobs that they run."""
    return present_workers(workers.list_workers(session), tenant=admin.tenant)


@queue_router.get("", summary="Get the queue")
def get_queue(session: SessionDep, _reader: Reader) -> schemas.Queue:
    """Get the number of waiting jobs, how long the oldest has waited, and the time until all have run."""
    return present_queue(workers.describe_queue(session))
