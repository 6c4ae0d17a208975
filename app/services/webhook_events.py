"""Emission of webhook events: each is stored with its body, in the transaction of the change that it reports.

An id names one message (Standard Webhooks): each delivery of an event sends the same body.
"""

import json
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.enums import STATUS_EVENTS, EventType, JobStatus
from app.db.engine import db_now, make_link
from app.db.queries import results as result_queries
from app.db.queries import webhook_outbox
from app.db.queries.webhook_outbox import EventBodies
from app.db.tables.batches import Batch
from app.db.tables.jobs import Job, Transition
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent

BODY_MAX_BYTES = 20_000
"""Maximum size of a body, as Standard Webhooks advises."""
_STATUSES = {event: status for status, event in STATUS_EVENTS.items()}
_WITH_RESULT = {EventType.JOB_SUCCEEDED, EventType.JOB_FEEDBACK, EventType.JOB_VERDICT_CHANGED}


def emit_transition(session: Session, job: Job, transition: Transition) -> None:
    """Emit the event of a transition. A job that returns to the queue causes none."""
    if transition.status is not JobStatus.QUEUED or transition.attempt == 0:
        emit_job_event(session, job, STATUS_EVENTS[transition.status], at=transition.at)


def emit_job_event(
    session: Session, job: Job, kind: EventType, data: dict[str, Any] | None = None, *, at: datetime | None = None
) -> None:
    """Emit an event about a job; ``data`` is sent in addition to the description of the job."""
    at = at or db_now(session)
    result = result_queries.find_result(session, job.id) if kind in _WITH_RESULT else None
    payload = result.payload if result else None
    described = _describe_job(session, job, kind, payload) | (data or {})
    full = _write_body(kind, described | {"result": payload}, at) if payload else None
    if full is not None and len(full.encode()) > BODY_MAX_BYTES:
        full = None
    webhook_outbox.add_job_event(session, job.id, kind, EventBodies(_write_body(kind, described, at), full), at=at)


def emit_batch_event(session: Session, batch: Batch, kind: EventType, data: dict[str, Any]) -> None:
    """Emit an event about a batch, for the endpoints for all jobs and those that jobs of the batch name."""
    at = db_now(session)
    webhook_outbox.add_batch_event(session, batch, kind, EventBodies(_write_body(kind, data, at)), at=at)


def emit_event(session: Session, endpoint: WebhookEndpoint, kind: EventType, data: dict[str, Any]) -> WebhookEvent:
    """Emit an event to one endpoint."""
    at = db_now(session)
    return webhook_outbox.add_event(session, endpoint, kind, _write_body(kind, data, at), at=at)


def _describe_job(session: Session, job: Job, kind: EventType, payload: dict[str, Any] | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": job.public_id,
        "status": _STATUSES.get(kind, job.status).value,
        "external_id": job.external_id,
        "links": {"self": make_link(session, f"/v1/jobs/{job.public_id}")},
    }
    if kind is EventType.JOB_SUCCEEDED:
        described["verdict"] = job.verdict
        for name in ("probability", "evidence", "recommended_action"):
            described[name] = payload[name] if payload else None
    if kind is EventType.JOB_FAILED:
        described["failure"] = {"code": job.failure_code, "retryable": job.failure_retryable}
    return described


def _write_body(kind: EventType, data: dict[str, Any], at: datetime) -> str:
    body = {"type": kind.value, "timestamp": at.isoformat(), "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
