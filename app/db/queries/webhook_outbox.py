"""SQL of the webhook outbox: events are written in the transaction of the change that they report."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, and_, any_, false, func, insert, literal, null, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from app.core.enums import STATUS_EVENTS, EventType, JobStatus, WebhookJobs
from app.db.tables.batches import Batch
from app.db.tables.jobs import Job, Transition
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent

_EVENT_COLUMNS = ["id", "endpoint_id", "type", "job_id", "data", "next_at"]


def add_transition_events(session: Session, transition: Transition) -> None:
    """Add the events of a transition. A job that returns to the queue causes none."""
    if transition.status is not JobStatus.QUEUED or transition.attempt == 0:
        add_job_event(session, transition.job_id, STATUS_EVENTS[transition.status])


def add_job_event(session: Session, job_id: UUID, kind: EventType, data: dict[str, Any] | None = None) -> None:
    """Add an event about a job; ``data`` is sent in addition to the description of the job."""
    session.execute(_events_of_job(job_id, kind, data))


def _events_of_job(job_id: UUID, kind: EventType, data: dict[str, Any] | None = None) -> Any:
    """Return the statement that inserts one event per enabled endpoint that subscribes to it."""
    wants = or_(
        WebhookEndpoint.jobs == WebhookJobs.ALL,
        WebhookEndpoint.id == Job.webhook_endpoint_id,
    )
    chosen = (
        _select_endpoints(kind, job_id, data)
        .join(Job, and_(Job.id == job_id, Job.tenant == WebhookEndpoint.tenant))
        .where(wants)
        # The lock skips an endpoint that is being deleted; its foreign key would fail the job's transaction.
        .with_for_update(read=True, key_share=True, of=WebhookEndpoint)
    )
    return insert(WebhookEvent).from_select(_EVENT_COLUMNS, chosen)


def _select_endpoints(kind: EventType, job_id: UUID | None, data: dict[str, Any] | None) -> Select[Any]:
    """Return the columns of an event for each enabled endpoint that subscribes to it."""
    payload = null() if data is None else literal(data, JSONB)
    columns = (
        func.gen_random_uuid(),
        WebhookEndpoint.id,
        literal(kind.value),
        literal(job_id, Uuid),
        payload,
        func.clock_timestamp(),
    )
    return select(*columns).where(WebhookEndpoint.disabled_at.is_(None), is_subscribed_to(kind))


def is_subscribed_to(kind: EventType) -> ColumnElement[bool]:
    """Return the condition that an endpoint subscribes to a type of event. Progress must be named explicitly."""
    wants_all = false() if kind is EventType.JOB_PROGRESS else WebhookEndpoint.events.is_(None)
    return or_(wants_all, literal(kind.value) == any_(WebhookEndpoint.events))


def add_event(session: Session, endpoint: WebhookEndpoint, kind: EventType, data: dict[str, Any]) -> WebhookEvent:
    """Add an event that does not concern a job."""
    added = WebhookEvent(endpoint_id=endpoint.id, type=kind, data=data, next_at=func.clock_timestamp())
    session.add(added)
    session.flush()
    return added


def add_batch_event(session: Session, batch: Batch, kind: EventType, data: dict[str, Any]) -> None:
    """Add an event about a batch, for the endpoints for all jobs and those that jobs of the batch name."""
    named = select(Job.webhook_endpoint_id).where(Job.batch_id == batch.id)
    chosen = (
        _select_endpoints(kind, None, data)
        .where(WebhookEndpoint.tenant == batch.tenant)
        .where(or_(WebhookEndpoint.jobs == WebhookJobs.ALL, WebhookEndpoint.id.in_(named)))
        .with_for_update(read=True, key_share=True, of=WebhookEndpoint)
    )
    session.execute(insert(WebhookEvent).from_select(_EVENT_COLUMNS, chosen))
