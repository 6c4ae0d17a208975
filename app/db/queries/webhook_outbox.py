"""SQL of the webhook outbox: events are written in the transaction of the change that they report."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, and_, any_, false, func, insert, literal, null, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from app.core.enums import STATUS_EVENTS, EventType, JobStatus, WebhookJobs
from app.db.tables.batches import Batch
from app.db.tables.jobs import Job, Transition
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent

_EVENT_COLUMNS = ["id", "endpoint_id", "type", "job_id", "data", "next_at"]


def add_events_of_transition(connection: Connection, transition: Transition) -> None:
    """Tells the endpoints that a job has moved, in the same transaction; a job that is queued again is no news."""
    if transition.status is not JobStatus.QUEUED or transition.attempt == 0:
        connection.execute(_events_of_job(transition.job_id, STATUS_EVENTS[transition.status]))


def add_job_event(session: Session, job_id: UUID, kind: EventType, data: dict[str, Any] | None = None) -> None:
    """Something happened to a job that is no transition; ``data`` is told beside what is told of the job."""
    session.execute(_events_of_job(job_id, kind, data))


def _events_of_job(job_id: UUID, kind: EventType, data: dict[str, Any] | None = None) -> Any:
    """One event for each enabled endpoint that wants it."""
    wants = or_(
        WebhookEndpoint.jobs == WebhookJobs.ALL,
        WebhookEndpoint.id == Job.webhook_endpoint_id,
    )
    chosen = (
        _wanting(kind, job_id, data)
        .join(Job, and_(Job.id == job_id, Job.tenant == WebhookEndpoint.tenant))
        .where(wants)
        # An endpoint that is being deleted drops out, instead of failing the job's transaction by its foreign key.
        .with_for_update(read=True, key_share=True, of=WebhookEndpoint)
    )
    return insert(WebhookEvent).from_select(_EVENT_COLUMNS, chosen)


def _wanting(kind: EventType, job_id: UUID | None, data: dict[str, Any] | None) -> Select[Any]:
    told = null() if data is None else literal(data, JSONB)
    columns = (
        func.gen_random_uuid(),
        WebhookEndpoint.id,
        literal(kind.value),
        literal(job_id, Uuid),
        told,
        func.clock_timestamp(),
    )
    return select(*columns).where(WebhookEndpoint.disabled_at.is_(None), _hears(kind))


def _hears(kind: EventType) -> ColumnElement[bool]:
    wants_all = false() if kind is EventType.JOB_PROGRESS else WebhookEndpoint.events.is_(None)
    return or_(wants_all, literal(kind.value) == any_(WebhookEndpoint.events))


def add_event(session: Session, endpoint: WebhookEndpoint, kind: EventType, data: dict[str, Any]) -> WebhookEvent:
    """An event that is not about a job."""
    added = WebhookEvent(endpoint_id=endpoint.id, type=kind, data=data, next_at=func.clock_timestamp())
    session.add(added)
    session.flush()
    return added


def add_batch_event(session: Session, batch: Batch, kind: EventType, data: dict[str, Any]) -> None:
    """Tells the endpoints for all jobs, and those that jobs of the batch name, of something that is about the batch."""
    named = select(Job.webhook_endpoint_id).where(Job.batch_id == batch.id)
    chosen = (
        _wanting(kind, None, data)
        .where(WebhookEndpoint.tenant == batch.tenant)
        .where(or_(WebhookEndpoint.jobs == WebhookJobs.ALL, WebhookEndpoint.id.in_(named)))
        .with_for_update(read=True, key_share=True, of=WebhookEndpoint)
    )
    session.execute(insert(WebhookEvent).from_select(_EVENT_COLUMNS, chosen))
