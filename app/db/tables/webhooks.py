"""The tables of webhooks: endpoints, events, deliveries."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from uuid_utils.compat import uuid7

from app.core.enums import EventType, WebhookJobs, WebhookPayload
from app.db.engine import Base, enum_column


class WebhookEndpoint(Base):
    """Where a tenant wants to be told of its jobs."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (UniqueConstraint("tenant", "url"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    url: Mapped[str]
    description: Mapped[str | None]
    jobs: Mapped[WebhookJobs] = mapped_column(enum_column(WebhookJobs), default=WebhookJobs.ALL)
    events: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """Which types it gets; None: all."""
    payload: Mapped[WebhookPayload] = mapped_column(enum_column(WebhookPayload), default=WebhookPayload.THIN)
    secret: Mapped[str]
    """``whsec_...``; signing needs the secret itself, so no digest will do."""
    previous_secret: Mapped[str | None]
    previous_secret_until: Mapped[datetime | None]
    """After a rotation both secrets sign until then."""
    failing_since: Mapped[datetime | None]
    """Since when no delivery has worked."""
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def public_id(self) -> str:
        """The id that clients see."""
        return f"we_{self.id.hex}"


class WebhookEvent(Base):
    """What one endpoint is to be told: written in the transaction in which it happened, so it cannot be lost."""

    __tablename__ = "webhook_events"
    __table_args__ = (Index("ix_webhook_events_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), index=True)
    type: Mapped[EventType] = mapped_column(enum_column(EventType))
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    """Whom it is about, if it is about a job."""
    data: Mapped[dict[str, Any] | None]
    """What it says beside what is told of the job."""
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    """Deliveries since it happened, or since it was replayed."""
    next_at: Mapped[datetime | None]
    """When the next delivery is due; None: there is none."""
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)

    endpoint: Mapped[WebhookEndpoint] = relationship(lazy="raise")

    @property
    def public_id(self) -> str:
        """The ``webhook-id`` of Standard Webhooks: the same at each delivery."""
        return f"evt_{self.id.hex}"


class WebhookDelivery(Base):
    """One HTTP request to an endpoint and what came of it: append-only log."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_events.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    status_code: Mapped[int | None]
    error: Mapped[str | None]
    """Why there was no answer."""
    seconds: Mapped[float]

    event: Mapped[WebhookEvent] = relationship(lazy="raise")
