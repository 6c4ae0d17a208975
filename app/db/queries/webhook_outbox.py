"""SQL of the webhook outbox: events are written in the transaction of the change that they report."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    Text,
    Uuid,
    and_,
    any_,
    case,
    false,
    func,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import Session

from app.core.enums import EventType, WebhookJobs, WebhookPayload
from app.db.tables.batches import Batch
from app.db.tables.jobs import Job
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent

_EVENT_COLUMNS = ["id", "endpoint_id", "type", "job_id", "body", "created_at", "next_at"]


@dataclass(frozen=True, slots=True)
class EventBodies:
    """Bodies of an event as JSON: for endpoints with the payload ``thin``, and for those with ``full``."""

    thin: str
    full: str | None = None
    """None: the event has no result, or it does not fit."""


def add_job_event(session: Session, job_id: UUID, kind: EventType, bodies: EventBodies, *, at: datetime) -> None:
    """Add an event about a job for each enabled endpoint that subscribes to it."""
    wants = or_(
        WebhookEndpoint.jobs == WebhookJobs.ALL,
        WebhookEndpoint.id == Job.webhook_endpoint_id,
    )
    chosen = (
        _select_endpoints(kind, job_id, bodies, at)
        .join(Job, and_(Job.id == job_id, Job.tenant == WebhookEndpoint.tenant))
        .where(wants)
        # The lock skips an endpoint that is being deleted; its foreign key would fail the job's transaction.
        .with_for_update(read=True, key_share=True, of=WebhookEndpoint)
    )
    session.execute(insert(WebhookEvent).from_select(_EVENT_COLUMNS, chosen))


def _select_endpoints(kind: EventType, job_id: UUID | None, bodies: EventBodies, at: datetime) -> Select[Any]:
    """Return the columns of an event for each enabled endpoint that subscribes to it."""
    thin, full = literal(bodies.thin, Text), literal(bodies.full or bodies.thin, Text)
    columns = (
        func.gen_random_uuid(),
        WebhookEndpoint.id,
        literal(kind.value),
        literal(job_id, Uuid),
        case((WebhookEndpoint.payload == WebhookPayload.FULL, full), else_=thin),
        literal(at, DateTime(timezone=True)),
        func.clock_timestamp(),
    )
    return select(*columns).where(WebhookEndpoint.disabled_at.is_(None), is_subscribed_to(kind))


def is_subscribed_to(kind: EventType) -> ColumnElement[bool]:
    """Return the condition that an endpoint subscribes to a type of event. Progress must be named explicitly."""
    wants_all = false() if kind is EventType.JOB_PROGRESS else WebhookEndpoint.events.is_(None)
    return or_(wants_all, literal(kind.value) == any_(WebhookEndpoint.events))


def add_event(session: Session, endpoint: WebhookEndpoint, kind: EventType, body: str, *, at: datetime) -> WebhookEvent:
    """Add an event that does not concern a job."""
    added = WebhookEvent(endpoint_id=endpoint.id, type=kind, body=body, created_at=at, next_at=func.clock_timestamp())
    session.add(added)
    session.flush()
    return added


def add_batch_event(session: Session, batch: Batch, kind: EventType, bodies: EventBodies, *, at: datetime) -> None:
    """Add an event about a batch, for the endpoints for all jobs and those that jobs of the batch name."""
    named = select(Job.webhook_endpoint_id).where(Job.batch_id == batch.id)
    chosen = (
        _select_endpoints(kind, None, bodies, at)
        .where(WebhookEndpoint.tenant == batch.tenant)
        .where(or_(WebhookEndpoint.jobs == WebhookJobs.ALL, WebhookEndpoint.id.in_(named)))
        .with_for_update(read=True, key_share=True, of=WebhookEndpoint)
    )
    session.execute(insert(WebhookEvent).from_select(_EVENT_COLUMNS, chosen))
