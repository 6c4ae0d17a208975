"""SQL of webhook endpoints, events and deliveries. Functions take a session and never commit."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    case,
    delete,
    func,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, contains_eager, joinedload

from app.core.enums import EventType, WebhookJobs
from app.db.queries.webhook_outbox import is_subscribed_to
from app.db.tables.webhooks import WebhookDelivery, WebhookEndpoint, WebhookEvent


def list_other_endpoints(session: Session, endpoint: WebhookEndpoint) -> Sequence[WebhookEndpoint]:
    """Return the tenant's other enabled endpoints for all jobs that subscribe to ``endpoint.disabled``."""
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.tenant == endpoint.tenant,
        WebhookEndpoint.id != endpoint.id,
        WebhookEndpoint.jobs == WebhookJobs.ALL,
        WebhookEndpoint.disabled_at.is_(None),
        is_subscribed_to(EventType.ENDPOINT_DISABLED),
    )
    return session.scalars(query).all()


def find_endpoint(session: Session, endpoint_id: UUID, *, tenant: str, lock: bool = False) -> WebhookEndpoint | None:
    """Return an endpoint of a tenant. A lock still allows inserts of events that refer to it."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.tenant == tenant)
    return session.scalars(query.with_for_update(key_share=True) if lock else query).one_or_none()


def list_endpoints(session: Session, *, tenant: str, after: UUID | None, limit: int) -> Sequence[WebhookEndpoint]:
    """Return the endpoints of a tenant, oldest first."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.tenant == tenant)
    if after is not None:
        query = query.where(WebhookEndpoint.id > after)
    return session.scalars(query.order_by(WebhookEndpoint.id).limit(limit)).all()


def add_endpoint(session: Session, endpoint: WebhookEndpoint) -> bool:
    """Insert an endpoint. Returns False if the tenant already has one with this URL."""
    statement = _insert(endpoint).on_conflict_do_nothing()
    return session.execute(statement.returning(WebhookEndpoint.id)).scalar_one_or_none() is not None


def find_or_add_endpoint(session: Session, endpoint: WebhookEndpoint) -> UUID:
    """Return the id of the tenant's endpoint with this URL; insert it if there is none.

    It cannot be deleted until the end of the transaction.
    """
    query = select(WebhookEndpoint.id).where(
        WebhookEndpoint.tenant == endpoint.tenant, WebhookEndpoint.url == endpoint.url
    )
    # A weak lock: jobs that end during this transaction insert events for the same endpoint.
    while True:
        session.execute(_insert(endpoint).on_conflict_do_nothing())
        found = session.execute(query.with_for_update(read=True, key_share=True)).scalar_one_or_none()
        if found is not None:  # None: the conflicting endpoint has just been deleted
            return found


def _insert(endpoint: WebhookEndpoint) -> Insert:
    """Return the statement that inserts an endpoint. Unset fields get the defaults of their columns."""
    names = ("id", "tenant", "url", "description", "jobs", "events", "payload", "secret")
    values = {name: value for name in names if (value := getattr(endpoint, name)) is not None}
    return upsert(WebhookEndpoint).values(**values)


def find_event(session: Session, event_id: UUID, *, tenant: str) -> WebhookEvent | None:
    """Return an event of a tenant, locked, with its endpoint."""
    query = (
        select(WebhookEvent)
        .join(WebhookEvent.endpoint)
        .options(contains_eager(WebhookEvent.endpoint))
        .where(WebhookEvent.id == event_id, WebhookEndpoint.tenant == tenant)
    )
    return session.scalars(query.with_for_update(of=WebhookEvent)).one_or_none()


def list_deliveries(
    session: Session, endpoint_id: UUID, *, before: int | None, limit: int
) -> Sequence[WebhookDelivery]:
    """Return the deliveries to an endpoint with their events, newest first."""
    query = (
        select(WebhookDelivery)
        .join(WebhookDelivery.event)
        .options(joinedload(WebhookDelivery.event))
        .where(WebhookEvent.endpoint_id == endpoint_id)
    )
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    return session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(limit)).all()


def claim_due(
    session: Session, *, until: datetime, limit: int, per_endpoint: int, busy: Mapping[UUID, int]
) -> Sequence[WebhookEvent]:
    """Claim events, with their endpoints, whose delivery is due, until the time ``until``.

    Args:
        session: Session with an open transaction.
        until: Expiry of the claim; a delivery without a recorded result is then due again.
        limit: Maximum number of events.
        per_endpoint: Maximum number of concurrent deliveries per endpoint, including those in progress.
        busy: Number of deliveries in progress per endpoint.
    """
    rank = func.row_number().over(partition_by=WebhookEvent.endpoint_id, order_by=WebhookEvent.next_at)
    is_failing = WebhookEndpoint.failing_since.is_not(None)
    # A failing endpoint gets one thread at most, after the others: all failing endpoints may be unresponsive.
    share = case((is_failing, 1), else_=per_endpoint)
    in_progress = case(dict(busy), value=WebhookEvent.endpoint_id, else_=0) if busy else literal(0)
    place = (rank + in_progress).label("place")
    ranked = (
        select(WebhookEvent.id, place, share.label("share"))
        .join(WebhookEvent.endpoint)
        .where(
            WebhookEvent.next_at <= func.clock_timestamp(),
            WebhookEvent.body.is_not(None),
            WebhookEndpoint.disabled_at.is_(None),
        )
        .subquery()
    )
    query = (
        select(WebhookEvent)
        .join(WebhookEvent.endpoint)
        .where(WebhookEvent.id.in_(select(ranked.c.id).where(ranked.c.place <= ranked.c.share)))
        # The condition is checked again: another dispatcher may have claimed the event meanwhile.
        .where(WebhookEvent.next_at <= func.clock_timestamp())
        .order_by(is_failing, WebhookEvent.next_at)
        .limit(limit)
        .options(contains_eager(WebhookEvent.endpoint))
    )
    claimed = session.scalars(query.with_for_update(of=WebhookEvent, skip_locked=True)).all()
    for found in claimed:
        found.attempts += 1
        found.next_at = until
    return claimed


def find_claimed(session: Session, event_id: UUID, *, endpoint_id: UUID) -> WebhookEvent | None:
    """Return an event with its endpoint, both locked; None if the endpoint was deleted.

    The endpoint is locked first, in the same order as in a transaction that disables it.
    """
    endpoint = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).with_for_update(key_share=True)
    if session.scalars(endpoint).one_or_none() is None:
        return None
    query = select(WebhookEvent).where(WebhookEvent.id == event_id).options(joinedload(WebhookEvent.endpoint))
    return session.scalars(query.with_for_update(of=WebhookEvent)).one_or_none()


def stop_events(session: Session, endpoint_id: UUID) -> None:
    """Cancel all due deliveries to an endpoint."""
    session.execute(
        update(WebhookEvent)
        .where(WebhookEvent.endpoint_id == endpoint_id, WebhookEvent.next_at.is_not(None))
        .values(next_at=null())
    )


def requeue_undelivered(session: Session, endpoint_id: UUID, *, since: datetime) -> int:
    """Make the failed events of an endpoint since a time due now; return their number."""
    statement = (
        update(WebhookEvent)
        .where(
            WebhookEvent.endpoint_id == endpoint_id,
            WebhookEvent.created_at >= since,
            WebhookEvent.delivered_at.is_(None),
            WebhookEvent.next_at.is_(None),
            WebhookEvent.body.is_not(None),
        )
        .values(next_at=func.clock_timestamp(), attempts=0)
    )
    return len(session.execute(statement.returning(WebhookEvent.id)).all())


def erase_events(session: Session, job_id: UUID) -> None:
    """Erase the bodies of a job's events and end their deliveries, but for ``media.deleted``."""
    session.execute(
        update(WebhookEvent)
        .where(WebhookEvent.job_id == job_id, WebhookEvent.type != EventType.MEDIA_DELETED)
        .values(body=null(), next_at=null())
    )


def delete_old_events(session: Session, *, older_than: timedelta, limit: int) -> None:
    """Delete finished events with their deliveries, and unused endpoints that only a job's ``webhook_url`` created."""
    oldest_kept = func.clock_timestamp() - older_than
    events = (
        select(WebhookEvent.id)
        .where(WebhookEvent.created_at < oldest_kept, WebhookEvent.next_at.is_(None))
        .limit(limit)
    )
    session.execute(delete(WebhookEvent).where(WebhookEvent.id.in_(events)))
    has_events = select(WebhookEvent.id).where(WebhookEvent.endpoint_id == WebhookEndpoint.id).exists()
    idle = select(WebhookEndpoint.id).where(
        WebhookEndpoint.jobs == WebhookJobs.NAMED, WebhookEndpoint.created_at < oldest_kept, ~has_events
    )
    session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id.in_(idle.limit(limit))))
