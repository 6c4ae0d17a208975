"""Use cases of the webhook dispatcher: claim events that are due, record the result of a delivery."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.db.engine import db_now
from app.db.queries import webhooks as webhook_queries
from app.db.tables.webhooks import WebhookDelivery, WebhookEvent
from app.services.webhooks import disable_endpoint

_JITTER = 0.2
"""Relative jitter of retry delays: a receiver that recovers must not get all events in the same second."""
_RETRY_AFTER_MAX = timedelta(hours=1)
"""Maximum of ``Retry-After`` that is respected."""


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """A claimed delivery, independent of the session."""

    event_id: UUID
    endpoint_id: UUID
    message_id: str
    url: str
    secrets: tuple[str, ...]
    """Newest first."""
    body: str
    claimed_until: datetime
    """Expiry of the claim. A result is ignored if the event was claimed or replayed since."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """Result of a delivery: a status code, or the error if there was no answer."""

    status_code: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None
    seconds: float = 0.0

    @property
    def is_delivered(self) -> bool:
        """True for 2xx. A redirect is a failure."""
        return self.status_code is not None and 200 <= self.status_code < 300


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays between deliveries of an event, and the time after which an endpoint is disabled."""

    delays: Sequence[timedelta]
    """Delay before the second delivery, the third and so on."""
    disable_after: timedelta
    """Time of failures only, after which an endpoint is disabled."""


def claim_deliveries(
    session: Session, *, lease: timedelta, limit: int, per_endpoint: int, busy: Mapping[UUID, int]
) -> list[DeliveryRequest]:
    """Claim events that are due. If the dispatcher dies, they are due again after ``lease``."""
    with session.begin():
        now = db_now(session)
        due = webhook_queries.claim_due(session, until=now + lease, limit=limit, per_endpoint=per_endpoint, busy=busy)
        return [_pack(found, at=now, until=now + lease) for found in due]


def record_delivery(session: Session, delivery: DeliveryRequest, result: DeliveryResult, policy: RetryPolicy) -> bool:
    """Record a delivery and schedule the next one. Returns True if it disabled the endpoint."""
    with session.begin():
        event = webhook_queries.find_claimed(session, delivery.event_id, endpoint_id=delivery.endpoint_id)
        if event is None:
            return False
        now = db_now(session)
        session.add(
            WebhookDelivery(
                event_id=event.id,
                at=now,
                status_code=result.status_code,
                error=result.error,
                seconds=result.seconds,
            )
        )
        if event.next_at != delivery.claimed_until:
            return False
        endpoint = event.endpoint
        if result.is_delivered:
            event.delivered_at, event.next_at, endpoint.failing_since = now, None, None
            return False
        endpoint.failing_since = endpoint.failing_since or now
        event.next_at = _next_at(event, result, policy, now)
        if endpoint.disabled_at is not None:
            event.next_at = None
            return False
        if result.status_code == 410:
            disable_endpoint(session, endpoint, reason="it answered 410 Gone", at=now)
        elif now - endpoint.failing_since >= policy.disable_after:
            disable_endpoint(
                session, endpoint, reason=f"no delivery worked since {endpoint.failing_since:%Y-%m-%d %H:%M}", at=now
            )
        return endpoint.disabled_at is not None


def _next_at(event: WebhookEvent, result: DeliveryResult, policy: RetryPolicy, now: datetime) -> datetime | None:
    if event.attempts > len(policy.delays):
        return None
    delay = policy.delays[event.attempts - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 (no secret)
    asked = min(result.retry_after or timedelta(0), _RETRY_AFTER_MAX)
    return now + max(delay, asked)


def _pack(event: WebhookEvent, *, at: datetime, until: datetime) -> DeliveryRequest:
    endpoint = event.endpoint
    assert event.body is not None  # the query leaves out erased events
    secrets = [endpoint.secret]
    if endpoint.previous_secret and endpoint.previous_secret_until and endpoint.previous_secret_until > at:
        secrets.append(endpoint.previous_secret)
    return DeliveryRequest(
        event_id=event.id,
        endpoint_id=endpoint.id,
        message_id=event.public_id,
        url=endpoint.url,
        secrets=tuple(secrets),
        body=event.body,
        claimed_until=until,
    )
