"""What clients do with webhook endpoints: register, change, rotate, test, replay. One function is one transaction."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.core.enums import EventType, WebhookJobs
from app.core.errors import EndpointDisabledError, EndpointExistsError, FieldError, InvalidRequestError, NotFoundError
from app.db.engine import db_now
from app.db.queries import webhook_outbox
from app.db.queries import webhooks as webhook_queries
from app.db.tables.webhooks import WebhookDelivery, WebhookEndpoint, WebhookEvent
from app.infra.egress import EgressPolicy, EgressRefusedError
from app.services import audit

_SECRET_BYTES = 32
"""Standard Webhooks wants 24 to 64."""


def create_endpoint(
    session: Session, egress: EgressPolicy, *, tenant: str, url: str, **properties: Any
) -> WebhookEndpoint:
    """Registers an endpoint; its secret is in the answer.

    Raises:
        InvalidRequestError: The service does not send to this URL.
        EndpointExistsError: The tenant has an endpoint with this URL.
    """
    check_url(egress, url, pointer="/url")
    with session.begin():
        endpoint = _make_endpoint(tenant=tenant, url=url, **properties)
        if not webhook_queries.add_endpoint(session, endpoint):
            raise EndpointExistsError("There is an endpoint with this URL. Change it with PATCH.")
        audit.record(session, "webhook_endpoint.created", endpoint.public_id, tenant=tenant)
        return _existing(webhook_queries.find_endpoint(session, endpoint.id, tenant=tenant))


def find_or_add_named(session: Session, *, tenant: str, url: str) -> UUID:
    """The endpoint that a job names by its URL, in the transaction of the job."""
    return webhook_queries.find_or_add_endpoint(session, _make_endpoint(tenant=tenant, url=url, jobs=WebhookJobs.NAMED))


def check_url(egress: EgressPolicy, url: str, *, pointer: str) -> None:
    """Raises InvalidRequestError where the service will not send to a URL."""
    try:
        egress.check_url(url)
    except EgressRefusedError as error:
        raise InvalidRequestError(str(error), errors=[FieldError(pointer, str(error))]) from error


def list_endpoints(session: Session, *, tenant: str, after: UUID | None, limit: int) -> Sequence[WebhookEndpoint]:
    """A tenant's endpoints, the oldest first."""
    with session.begin():
        return webhook_queries.list_endpoints(session, tenant=tenant, after=after, limit=limit)


def get_endpoint(session: Session, endpoint_id: UUID, *, tenant: str) -> WebhookEndpoint:
    """An endpoint. Raises NotFoundError."""
    with session.begin():
        return _existing(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant))


def update_endpoint(
    session: Session, endpoint_id: UUID, *, tenant: str, enabled: bool | None, changes: dict[str, Any]
) -> WebhookEndpoint:
    """Changes an endpoint; one that is enabled again begins with a clean slate. Raises NotFoundError."""
    with session.begin():
        endpoint = _existing(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant, lock=True))
        audit.record(session, "webhook_endpoint.changed", endpoint.public_id, tenant=tenant)
        for name, value in changes.items():
            setattr(endpoint, name, value)
        if enabled is False and endpoint.disabled_at is None:
            disable(session, endpoint, reason="disabled by its owner", at=db_now(session))
        if enabled is True:
            endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = None
        return endpoint


def delete_endpoint(session: Session, endpoint_id: UUID, *, tenant: str) -> None:
    """Removes an endpoint with its events. Raises NotFoundError."""
    with session.begin():
        endpoint = _existing(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant, lock=True))
        audit.record(session, "webhook_endpoint.deleted", endpoint.public_id, tenant=tenant)
        session.delete(endpoint)


def rotate_secret(session: Session, endpoint_id: UUID, *, tenant: str, overlap: timedelta) -> WebhookEndpoint:
    """Gives an endpoint a new secret; for the time of ``overlap`` both sign. Raises NotFoundError."""
    with session.begin():
        endpoint = _existing(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant, lock=True))
        endpoint.previous_secret = endpoint.secret
        endpoint.previous_secret_until = db_now(session) + overlap
        endpoint.secret = _make_secret()
        audit.record(session, "webhook_endpoint.secret_rotated", endpoint.public_id, tenant=tenant)
        return endpoint


def read_secret(session: Session, endpoint_id: UUID, *, tenant: str) -> WebhookEndpoint:
    """An endpoint whose secret somebody wants to see. Raises NotFoundError."""
    with session.begin():
        endpoint = _existing(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant))
        audit.record(session, "webhook_endpoint.secret_read", endpoint.public_id, tenant=tenant)
        return endpoint


def send_test(session: Session, endpoint_id: UUID, *, tenant: str) -> WebhookEvent:
    """Sends an event that says nothing. Raises NotFoundError, EndpointDisabledError."""
    with session.begin():
        endpoint = _enabled(_existing(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant)))
        audit.record(session, "webhook_endpoint.tested", endpoint.public_id, tenant=tenant)
        return webhook_outbox.add_event(session, endpoint, EventType.WEBHOOK_TEST, {"endpoint_id": endpoint.public_id})


def list_deliveries(
    session: Session, endpoint_id: UUID, *, tenant: str, before: int | None, limit: int
) -> Sequence[WebhookDelivery]:
    """What was sent to an endpoint, newest first. Raises NotFoundError."""
    with session.begin():
        endpoint = _existing(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant))
        return webhook_queries.list_deliveries(session, endpoint.id, before=before, limit=limit)


def replay_event(session: Session, event_id: UUID, *, tenant: str) -> None:
    """Delivers an event again, under the same id. Raises NotFoundError, EndpointDisabledError."""
    with session.begin():
        event = webhook_queries.find_event(session, event_id, tenant=tenant)
        if event is None:
            raise NotFoundError("There is no such event. The deliveries of an endpoint show their ids.")
        _enabled(event.endpoint)
        audit.record(session, "webhook_event.replayed", event.public_id, tenant=tenant)
        event.next_at, event.attempts, event.delivered_at = db_now(session), 0, None


def recover(session: Session, endpoint_id: UUID, *, tenant: str, since: datetime) -> int:
    """Delivers all that was given up since then; returns how many events.

    Raises NotFoundError, EndpointDisabledError.
    """
    with session.begin():
        endpoint = _enabled(_existing(webhook_queries.find_endpoint(session, endpoint_id, tenant=tenant)))
        audit.record(session, "webhook_endpoint.recovered", endpoint.public_id, tenant=tenant)
        return webhook_queries.requeue_undelivered(session, endpoint.id, since=since)


def disable(session: Session, endpoint: WebhookEndpoint, *, reason: str, at: datetime) -> None:
    """Sends nothing more to an endpoint and tells the tenant's others, in the caller's transaction."""
    endpoint.disabled_at, endpoint.disabled_reason = at, reason
    audit.record(session, "webhook_endpoint.disabled", endpoint.public_id, tenant=endpoint.tenant)
    webhook_queries.stop_events(session, endpoint.id)
    data = {"endpoint_id": endpoint.public_id, "url": endpoint.url, "reason": reason}
    for other in webhook_queries.list_others(session, endpoint):
        webhook_outbox.add_event(session, other, EventType.ENDPOINT_DISABLED, data)


def _make_endpoint(**properties: Any) -> WebhookEndpoint:
    return WebhookEndpoint(id=uuid7(), secret=_make_secret(), **properties)


def _make_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _existing(endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    if endpoint is None:
        raise NotFoundError("There is no such webhook endpoint. GET /v1/webhook-endpoints lists yours.")
    return endpoint


def _enabled(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    if endpoint.disabled_at is not None:
        raise EndpointDisabledError(
            f"The endpoint is disabled: {endpoint.disabled_reason}. Enable it with PATCH, 'enabled': true."
        )
    return endpoint
