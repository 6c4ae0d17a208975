"""Tables of webhook endpoints, events and deliveries."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from uuid_utils.compat import uuid7

from app.core.enums import EventType, WebhookJobs, WebhookPayload
from app.core.ids import IdPrefix, format_id
from app.db.engine import Base, enum_column


class WebhookEndpoint(Base):
    """URL to which a tenant's webhook events are delivered."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (UniqueConstraint("tenant", "url"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    url: Mapped[str]
    description: Mapped[str | None]
    jobs: Mapped[WebhookJobs] = mapped_column(enum_column(WebhookJobs), default=WebhookJobs.ALL)
    events: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Event types that the endpoint receives; None means all except ``job.progress``."""
    payload: Mapped[WebhookPayload] = mapped_column(enum_column(WebhookPayload), default=WebhookPayload.THIN)
    secret: Mapped[str]
    """Secret ``whsec_...``. Stored in plain text, because signing requires it."""
    previous_secret: Mapped[str | None]
    previous_secret_until: Mapped[datetime | None]
    """Time until which both secrets sign after a rotation."""
    failing_since: Mapped[datetime | None]
    """Time of the first failure since the last successful delivery."""
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def public_id(self) -> str:
        """Id that clients see."""
        return format_id(IdPrefix.WEBHOOK_ENDPOINT, self.id)


class WebhookEvent(Base):
    """Event for one endpoint (transactional outbox): written in the transaction of the change, so it cannot be lost."""

    __tablename__ = "webhook_events"
    __table_args__ = (Index("ix_webhook_events_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), index=True)
    type: Mapped[EventType] = mapped_column(enum_column(EventType))
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    """Job of the event, if it concerns one."""
    body: Mapped[str | None]
    """JSON that each delivery sends; None after the deletion of its job."""
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of deliveries since the creation or the last replay of the event."""
    next_at: Mapped[datetime | None]
    """Time of the next delivery; None if no delivery is due."""
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)

    endpoint: Mapped[WebhookEndpoint] = relationship(lazy="raise")

    @property
    def public_id(self) -> str:
        """``webhook-id`` of Standard Webhooks, equal at each delivery."""
        return format_id(IdPrefix.WEBHOOK_EVENT, self.id)


class WebhookDelivery(Base):
    """HTTP request to an endpoint and its outcome, in an append-only log."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_events.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    status_code: Mapped[int | None]
    error: Mapped[str | None]
    """Reason for which there was no response."""
    seconds: Mapped[float]

    event: Mapped[WebhookEvent] = relationship(lazy="raise")
