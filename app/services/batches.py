"""Use cases of batches: submit, read, complete."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from pydantic_core import to_jsonable_python
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.core.enums import EventType, JobStatus, Priority
from app.core.errors import NotFoundError, UnmaskError
from app.db.queries import batches as batch_queries
from app.db.tables.batches import Batch
from app.db.tables.jobs import Job
from app.schemas import batches as schemas
from app.schemas.submissions import JobRequest
from app.services import audit, webhook_events
from app.services.idempotency import IdempotencyClaim, bind_key, fingerprint_of
from app.services.submissions import (
    JobLinks,
    SubmissionContext,
    Submitter,
    add_job,
    check_request,
    lock_references,
    resolve_clip,
)


def submit_batch(
    session: Session,
    context: SubmissionContext,
    submitter: Submitter,
    claim: IdempotencyClaim | None,
    *,
    request: schemas.BatchRequest,
) -> UUID:
    """Create the jobs of a batch, all or none. Returns the id of the batch.

    Raises as ``submissions.submit_source``; the pointers of the error name the item.
    """
    fingerprint = fingerprint_of(request)
    if claim and claim.is_used:
        return claim.batch_of(fingerprint)
    for index, item in enumerate(request.items):
        with _pointing_at(index):
            check_request(context, item)
    with session.begin():
        batch = Batch(id=uuid7(), tenant=submitter.tenant)
        session.add(batch)
        session.flush()
        endpoint_ids = lock_references(session, request.items, tenant=submitter.tenant)
        jobs = []
        for index, item in enumerate(request.items):
            links = JobLinks(batch.tenant, batch.id, webhook_endpoint_id=endpoint_ids.get(item.options.webhook_url))
            with _pointing_at(index):
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
    clip = resolve_clip(session, item.source, tenant=links.tenant)
    return add_job(session, context, links, clip, options)


@contextmanager
def _pointing_at(index: int) -> Iterator[None]:
    """Prefix the pointers of an error with the item of the batch."""
    try:
        yield
    except UnmaskError as error:
        raise error.with_pointer_prefix(f"/items/{index}") from error


@dataclass(frozen=True, slots=True)
class BatchSnapshot:
    """A batch with id and status of its jobs, in the order of its items, as it was at one moment."""

    batch: Batch
    jobs: list[tuple[UUID, JobStatus]]

    @property
    def counts(self) -> dict[JobStatus, int]:
        """Number of jobs per status."""
        return Counter(status for _, status in self.jobs)

    @property
    def status(self) -> schemas.BatchStatus:
        """``running`` until all jobs have ended, then ``succeeded``, ``partially_failed`` or ``failed``."""
        succeeded = self.counts.get(JobStatus.SUCCEEDED, 0)
        if any(not status.is_final for status in self.counts):
            return "running"
        if succeeded == sum(self.counts.values()):
            return "succeeded"
        return "partially_failed" if succeeded else "failed"


def get_batch(session: Session, batch_id: UUID, *, tenant: str) -> BatchSnapshot:
    """Return a batch. Raises NotFoundError."""
    with session.begin():
        batch = batch_queries.find_batch(session, batch_id, tenant=tenant)
        if batch is None:
            raise NotFoundError("No batch has this id. Check the id that POST /v1/batches returned.")
        return BatchSnapshot(batch, batch_queries.list_statuses(session, batch.id))


def complete_batches(session: Session) -> list[BatchSnapshot]:
    """Emit ``batch.completed`` for the batches whose last job has ended. Returns them."""
    with session.begin():
        completed = [
            BatchSnapshot(batch, batch_queries.list_statuses(session, batch.id))
            for batch in batch_queries.complete_batches(session)
        ]
        for snapshot in completed:
            batch = snapshot.batch
            data = {
                "id": batch.public_id,
                "status": snapshot.status,
                "counts": snapshot.counts,
                "completed_at": batch.completed_at,
            }
            webhook_events.emit_batch_event(session, batch, EventType.BATCH_COMPLETED, to_jsonable_python(data))
        return completed
