"""Use cases of webhook endpoints: create, change, rotate, test, replay. One function is one transaction."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.core.enums import EventType, WebhookJobs
from app.core.errors import (
    EndpointDisabledError,
    EndpointExistsError,
    FieldError,
    GoneError,
    InvalidRequestError,
    NotFoundError,
)
from app.db.engine import db_now
from app.db.queries import webhooks as webhook_queries
from app.db.tables.webhooks import WebhookDelivery, WebhookEndpoint, WebhookEvent
from app.infra.egress import EgressPolicy, EgressRefusedError
from app.schemas.webhooks import WebhookEndpointChanges, WebhookEndpointProperties, WebhookEndpointRequest
from app.services import audit, webhook_events

_CHANGEABLE = set(WebhookEndpointProperties.model_fields)
_SECRET_BYTES = 32
"""Length of a secret; Standard Webhooks requires 24 to 64 bytes."""


def create_endpoint(
    session: Session, egress: EgressPolicy, *, tenant: str, request: WebhookEndpointRequest
) -> WebhookEndpoint:
    """Create an endpoint. Returns it with its secret.

    Raises:
        InvalidRequestError: The service may not send to this URL.
        EndpointExistsError: The tenant has an endpoint with this URL.
    """
    check_url(egress, request.url, pointer="/url")
    with session.begin():
        endpoint = WebhookEndpoint(
            id=uuid7(),
            tenant=tenant,
            url=request.url,
            description=request.description,
            events=request.events,
            jobs=request.jobs,
            payload=request.payload,
            secret=_make_secret(),
        )
        if not webhook_queries.add_endpoint(session, endpoint):
            raise EndpointExistsError("An endpoint with this URL exists. Change it with PATCH.")
        audit.record(session, "webhook_endpoint.created", endpoint.public_id, tenant=tenant)
        return _require_endpoint(webhook_queries.find_endpoint(session, endpoint.id, tenant=tenant))


def get_or_create_named(session: Session, *, tenant: str, url: str) -> UUID:
    """Return the id of the endpoint that a job names by URL, in the job's transaction. Creates a missing one."""
    endpoint = WebhookEndpoint(id=uuid7(), tenant=tenant, url=url, jobs=WebhookJobs.NAMED, secret=_make_secret())
    return webhook_queries.find_or_add_endpoint(session, endpoint)


def check_url(egress: EgressPolicy, url: str, *, pointer: str) -> None:
    """Raise InvalidRequestError if the service may not connect to a URL."""
    try:
        egress.check_url(url)
    except EgressRefusedError as error:
        raise InvalidRequestError(str(error), errors=[FieldError(pointer, str(error))]) from error


def list_endpoints(session: Session, *, tenant: str, after: UUID | None, limit: int) -> Sequence[WebhookEndpoint]:
    """Return a tenant's endpoints, oldest first."""
    with session.begin():
        return webhook_queries.list_endpoints(session, tenant=tenant, after=after, limit=limit)


def get_endpoint(session: Session, endpoint_id: UUID, *, tenant: str) -> WebhookEndpoint:
    """Return an endpoint. Raises NotFoundError."""
    with session.begin():
        return _require_endpoint(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant))


def update_endpoint(
    session: Session, endpoint_id: UUID, *, tenant: str, changes: WebhookEndpointChanges
) -> WebhookEndpoint:
    """Change the fields that are set in ``changes``. Enabling an endpoint resets its failures. Raises NotFoundError."""
    with session.begin():
        endpoint = _require_endpoint(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant, lock=True))
        audit.record(session, "webhook_endpoint.changed", endpoint.public_id, tenant=tenant)
        for name in changes.model_fields_set & _CHANGEABLE:
            setattr(endpoint, name, getattr(changes, name))
        enabled = changes.enabled if "enabled" in changes.model_fields_set else None
        if enabled is False and endpoint.disabled_at is None:
            disable_endpoint(session, endpoint, reason="disabled by its owner", at=db_now(session))
        if enabled is True:
            endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = None
        return endpoint


def delete_endpoint(session: Session, endpoint_id: UUID, *, tenant: str) -> None:
    """Delete an endpoint with its events. Raises NotFoundError."""
    with session.begin():
        endpoint = _require_endpoint(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant, lock=True))
        audit.record(session, "webhook_endpoint.deleted", endpoint.public_id, tenant=tenant)
        session.delete(endpoint)


def rotate_secret(session: Session, endpoint_id: UUID, *, tenant: str, overlap: timedelta) -> WebhookEndpoint:
    """Replace the secret of an endpoint. Both secrets sign during ``overlap``. Raises NotFoundError."""
    with session.begin():
        endpoint = _require_endpoint(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant, lock=True))
        endpoint.previous_secret = endpoint.secret
        endpoint.previous_secret_until = db_now(session) + overlap
        endpoint.secret = _make_secret()
        audit.record(session, "webhook_endpoint.secret_rotated", endpoint.public_id, tenant=tenant)
        return endpoint


def get_secret(session: Session, endpoint_id: UUID, *, tenant: str) -> WebhookEndpoint:
    """Return an endpoint to show its secret; recorded in the audit log. Raises NotFoundError."""
    with session.begin():
        endpoint = _require_endpoint(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant))
        audit.record(session, "webhook_endpoint.secret_read", endpoint.public_id, tenant=tenant)
        return endpoint


def send_test(session: Session, endpoint_id: UUID, *, tenant: str) -> WebhookEvent:
    """Emit ``webhook.test``. Raises NotFoundError, EndpointDisabledError."""
    with session.begin():
        endpoint = _require_enabled(
            _require_endpoint(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant))
        )
        audit.record(session, "webhook_endpoint.tested", endpoint.public_id, tenant=tenant)
        return webhook_events.emit_event(session, endpoint, EventType.WEBHOOK_TEST, {"endpoint_id": endpoint.public_id})


def list_deliveries(
    session: Session, endpoint_id: UUID, *, tenant: str, before: int | None, limit: int
) -> Sequence[WebhookDelivery]:
    """Return the deliveries to an endpoint, newest first. Raises NotFoundError."""
    with session.begin():
        endpoint = _require_endpoint(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant))
        return webhook_queries.list_deliveries(session, endpoint.id, before=before, limit=limit)


def replay_event(session: Session, event_id: UUID, *, tenant: str) -> None:
    """Deliver an event again with the same id. Raises NotFoundError, GoneError, EndpointDisabledError."""
    with session.begin():
        event = webhook_queries.find_event(session, event_id, tenant=tenant)
        if event is None:
            raise NotFoundError("No event has this id. The deliveries of an endpoint list the ids.")
        if event.body is None:
            raise GoneError("The job of this event was deleted, and the event with it.")
        _require_enabled(event.endpoint)
        audit.record(session, "webhook_event.replayed", event.public_id, tenant=tenant)
        event.next_at, event.attempts, event.delivered_at = db_now(session), 0, None


def redeliver_failed(session: Session, endpoint_id: UUID, *, tenant: str, since: datetime) -> int:
    """Deliver all events again that failed since a time. Returns their number.

    Raises NotFoundError, EndpointDisabledError.
    """
    with session.begin():
        endpoint = _require_enabled(
            _require_endpoint(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant))
        )
        audit.record(session, "webhook_endpoint.recovered", endpoint.public_id, tenant=tenant)
        return webhook_queries.requeue_undelivered(session, endpoint.id, since=since)


def disable_endpoint(session: Session, endpoint: WebhookEndpoint, *, reason: str, at: datetime) -> None:
    """Disable an endpoint and emit ``endpoint.disabled`` to the tenant's others, in the caller's transaction."""
    endpoint.disabled_at, endpoint.disabled_reason = at, reason
    audit.record(session, "webhook_endpoint.disabled", endpoint.public_id, tenant=endpoint.tenant)
    webhook_queries.stop_events(session, endpoint.id)
    data = {"endpoint_id": endpoint.public_id, "url": endpoint.url, "reason": reason}
    for other in webhook_queries.list_other_endpoints(session, endpoint):
        webhook_events.emit_event(session, other, EventType.ENDPOINT_DISABLED, data)


def _make_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _require_endpoint(endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    if endpoint is None:
        raise NotFoundError("No webhook endpoint has this id. List yours with GET /v1/webhook-endpoints.")
    return endpoint


def _require_enabled(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    if endpoint.disabled_at is not None:
        raise EndpointDisabledError(
            f"The endpoint is disabled: {endpoint.disabled_reason}. Enable it with PATCH, 'enabled': true."
        )
    return endpoint
