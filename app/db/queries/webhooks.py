"""All SQL of webhooks. Like ``repositories``, it takes a session and never commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from app.db.queries.webhook_outbox import _hears
from app.db.tables.jobs import Job
from app.db.tables.webhooks import WebhookDelivery, WebhookEndpoint, WebhookEvent


def list_others(session: Session, endpoint: WebhookEndpoint) -> Sequence[WebhookEndpoint]:
    """The enabled endpoints for all jobs of the same tenant that want to hear that one was disabled."""
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.tenant == endpoint.tenant,
        WebhookEndpoint.id != endpoint.id,
        WebhookEndpoint.jobs == WebhookJobs.ALL,
        WebhookEndpoint.disabled_at.is_(None),
        _hears(EventType.ENDPOINT_DISABLED),
    )
    return session.scalars(query).all()


def find_endpoint(session: Session, endpoint_id: UUID, *, tenant: str, lock: bool = False) -> WebhookEndpoint | None:
    """An endpoint of a tenant; a lock lets events refer to it meanwhile."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.tenant == tenant)
    return session.scalars(query.with_for_update(key_share=True) if lock else query).one_or_none()


def list_endpoints(session: Session, *, tenant: str, after: UUID | None, limit: int) -> Sequence[WebhookEndpoint]:
    """The endpoints of a tenant, the oldest first."""
    query = select(WebhookEndpoint).where(WebhookEndpoint.tenant == tenant)
    if after is not None:
        query = query.where(WebhookEndpoint.id > after)
    return session.scalars(query.order_by(WebhookEndpoint.id).limit(limit)).all()


def add_endpoint(session: Session, endpoint: WebhookEndpoint) -> bool:
    """Inserts an endpoint. False: the tenant has one with this URL."""
    statement = _insert(endpoint).on_conflict_do_nothing()
    return session.execute(statement.returning(WebhookEndpoint.id)).scalar_one_or_none() is not None


def find_or_add_endpoint(session: Session, endpoint: WebhookEndpoint) -> UUID:
    """The id of the tenant's endpoint with this URL, which is inserted where there is none; nobody deletes it now."""
    query = select(WebhookEndpoint.id).where(
        WebhookEndpoint.tenant == endpoint.tenant, WebhookEndpoint.url == endpoint.url
    )
    # No stronger lock: jobs that end while this transaction lasts tell the same endpoint.
    while True:
        session.execute(_insert(endpoint).on_conflict_do_nothing())
        found = session.execute(query.with_for_update(read=True, key_share=True)).scalar_one_or_none()
        if found is not None:  # else the one that was in the way has just been deleted
            return found


def _insert(endpoint: WebhookEndpoint) -> Insert:
    """What is not set gets the default of its column."""
    names = ("id", "tenant", "url", "description", "jobs", "events", "payload", "secret")
    values = {name: value for name in names if (value := getattr(endpoint, name)) is not None}
    return upsert(WebhookEndpoint).values(**values)


def find_event(session: Session, event_id: UUID, *, tenant: str) -> WebhookEvent | None:
    """An event of a tenant with its endpoint, the event locked."""
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
    """What was sent to an endpoint, newest first, with its event."""
    query = (
        select(WebhookDelivery)
        .join(WebhookDelivery.event)
        .options(joinedload(WebhookDelivery.event))
        .where(WebhookEvent.endpoint_id == endpoint_id)
    )
    if before is not None:
        query = query.where(WebhookDelivery.id < before)
    return session.scalars(query.order_by(WebhookDelivery.id.desc()).limit(limit)).all()


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event that was claimed for delivery, with all that the delivery needs."""

    event: WebhookEvent
    endpoint: WebhookEndpoint
    job: Job | None


def claim_due(
    session: Session, *, until: datetime, limit: int, per_endpoint: int, busy: Mapping[UUID, int]
) -> list[DueEvent]:
    """Takes events whose delivery is due: nobody else gets them before ``until``.

    Args:
        session: In a transaction.
        until: When a delivery that nobody finished is due again.
        limit: Most events.
        per_endpoint: Most events of one endpoint, with those that are on their way.
        busy: How many of an endpoint are on their way.
    """
    rank = func.row_number().over(partition_by=WebhookEvent.endpoint_id, order_by=WebhookEvent.next_at)
    is_failing = WebhookEndpoint.failing_since.is_not(None)
    # Endpoints that fail get one thread each, and the threads that the others leave: they may all be hanging.
    share = case((is_failing, 1), else_=per_endpoint)
    on_their_way = case(dict(busy), value=WebhookEvent.endpoint_id, else_=0) if busy else literal(0)
    place = (rank + on_their_way).label("place")
    ranked = (
        select(WebhookEvent.id, place, share.label("share"))
        .join(WebhookEvent.endpoint)
        .where(WebhookEvent.next_at <= func.clock_timestamp(), WebhookEndpoint.disabled_at.is_(None))
        .subquery()
    )
    query = (
        select(WebhookEvent)
        .join(WebhookEvent.endpoint)
        .where(WebhookEvent.id.in_(select(ranked.c.id).where(ranked.c.place <= ranked.c.share)))
        .where(WebhookEvent.next_at <= func.clock_timestamp())  # again: another dispatcher may have been faster
        .order_by(is_failing, WebhookEvent.next_at)
        .limit(limit)
        .options(contains_eager(WebhookEvent.endpoint))
    )
    claimed = session.scalars(query.with_for_update(of=WebhookEvent, skip_locked=True)).all()
    for found in claimed:
        found.attempts += 1
        found.next_at = until
    job_ids = {found.job_id for found in claimed if found.job_id}
    jobs = session.scalars(select(Job).options(joinedload(Job.result)).where(Job.id.in_(job_ids))).all()
    by_id = {job.id: job for job in jobs}
    return [DueEvent(found, found.endpoint, by_id.get(found.job_id) if found.job_id else None) for found in claimed]


def find_claimed(session: Session, event_id: UUID, *, endpoint_id: UUID) -> WebhookEvent | None:
    """An event with its endpoint, both locked; None where the endpoint was deleted meanwhile.

    The endpoint comes first: whoever disables it goes on to its events.
    """
    endpoint = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).with_for_update(key_share=True)
    if session.scalars(endpoint).one_or_none() is None:
        return None
    query = select(WebhookEvent).where(WebhookEvent.id == event_id).options(joinedload(WebhookEvent.endpoint))
    return session.scalars(query.with_for_update(of=WebhookEvent)).one_or_none()


def stop_events(session: Session, endpoint_id: UUID) -> None:
    """Nothing more is delivered to an endpoint."""
    session.execute(
        update(WebhookEvent)
        .where(WebhookEvent.endpoint_id == endpoint_id, WebhookEvent.next_at.is_not(None))
        .values(next_at=null())
    )


def requeue_undelivered(session: Session, endpoint_id: UUID, *, since: datetime) -> int:
    """What was given up since then is due now; returns how many."""
    statement = (
        update(WebhookEvent)
        .where(
            WebhookEvent.endpoint_id == endpoint_id,
            WebhookEvent.created_at >= since,
            WebhookEvent.delivered_at.is_(None),
            WebhookEvent.next_at.is_(None),
        )
        .values(next_at=func.clock_timestamp(), attempts=0)
    )
    return len(session.execute(statement.returning(WebhookEvent.id)).all())


def blank_events(session: Session, job_id: UUID) -> None:
    """Takes what was said about a job's clip out of its events."""
    session.execute(update(WebhookEvent).where(WebhookEvent.job_id == job_id).values(data=null()))


def delete_old(session: Session, *, older_than: timedelta, limit: int) -> None:
    """Removes events that are done, with their deliveries, and endpoints that jobs named and none names any more."""
    is_old = func.clock_timestamp() - older_than
    events = (
        select(WebhookEvent.id).where(WebhookEvent.created_at < is_old, WebhookEvent.next_at.is_(None)).limit(limit)
    )
    session.execute(delete(WebhookEvent).where(WebhookEvent.id.in_(events)))
    has_events = select(WebhookEvent.id).where(WebhookEvent.endpoint_id == WebhookEndpoint.id).exists()
    idle = select(WebhookEndpoint.id).where(
        WebhookEndpoint.jobs == WebhookJobs.NAMED, WebhookEndpoint.created_at < is_old, ~has_events
    )
    session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id.in_(idle.limit(limit))))
