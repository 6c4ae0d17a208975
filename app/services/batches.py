"""Batches: how far they are, and who is told that they are complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.core.enums import EventType, JobStatus, Priority
from app.core.errors import NotFoundError, UnmaskError
from app.db.queries import batches as batch_queries
from app.db.queries import webhook_outbox
from app.db.tables.batches import Batch
from app.db.tables.jobs import Job
from app.schemas.batches import Batch as BatchView
from app.schemas.batches import BatchRequest
from app.schemas.submissions import JobRequest
from app.services import audit
from app.services.idempotency import IdempotencyClaim, bind_key, fingerprint_of
from app.services.submissions import (
    JobLinks,
    SubmissionContext,
    Submitter,
    add_job,
    check_request,
    find_clip,
    lock_all_references,
)


def submit_batch(
    session: Session,
    context: SubmissionContext,
    submitter: Submitter,
    *,
    request: BatchRequest,
    claim: IdempotencyClaim | None = None,
) -> UUID:
    """Queues the jobs of a batch, all or none. Raises as ``submit_source``; the pointers say which item is wrong."""
    fingerprint = fingerprint_of(request.model_dump_json(), None)
    if claim and claim.is_used:
        return claim.batch_of(fingerprint)
    for index, item in enumerate(request.items):
        with _pointing(index):
            check_request(context, item)
    with session.begin():
        batch = Batch(id=uuid7(), tenant=submitter.tenant)
        session.add(batch)
        session.flush()
        endpoint_ids = lock_all_references(session, request.items, tenant=submitter.tenant)
        jobs = []
        for index, item in enumerate(request.items):
            links = JobLinks(batch.tenant, batch.id, webhook_endpoint_id=endpoint_ids.get(item.options.webhook_url))
            with _pointing(index):
                jobs.append(_add_item(session, context, links, item))
        if claim:
            bind_key(session, claim, batch_id=batch.id, fingerprint=fingerprint)
        audit.record(session, "batch.submitted", batch.public_id, tenant=submitter.tenant)
        submitter.charge(len(jobs))
    for job in jobs:
        context.notifier.notify(job.id)
    return batch.id


def _add_item(session: Session, context: SubmissionContext, links: JobLinks, item: JobRequest) -> Job:
    options = item.options
    if "priority" not in options.model_fields_set:
        options = options.model_copy(update={"priority": Priority.BATCH})
    clip = find_clip(session, item.source, tenant=links.tenant)
    return add_job(session, context, links, clip, options)


@contextmanager
def _pointing(index: int) -> Iterator[None]:
    """Lets errors say which item of a batch is wrong."""
    try:
        yield
    except UnmaskError as error:
        raise error.within(f"/items/{index}") from error


def get_batch(session: Session, batch_id: UUID, *, tenant: str) -> BatchView:
    """A batch with the numbers of its jobs. Raises NotFoundError."""
    with session.begin():
        batch = batch_queries.find_batch(session, batch_id, tenant=tenant)
        if batch is None:
            raise NotFoundError("There is no such batch. Check the id that POST /v1/batches answered with.")
        return _view(session, batch)


def complete_batches(session: Session) -> list[BatchView]:
    """Tells the webhooks of the batches that have become complete."""
    with session.begin():
        completed = batch_queries.complete_batches(session)
        views = [_view(session, batch) for batch in completed]
        for batch, view in zip(completed, views, strict=True):
            data = view.model_dump(mode="json", include={"id", "status", "jobs", "completed_at"})
            webhook_outbox.add_batch_event(session, batch, EventType.BATCH_COMPLETED, data)
        return views


def _view(session: Session, batch: Batch) -> BatchView:
    counts = batch_queries.count_jobs(session, batch.id)
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
