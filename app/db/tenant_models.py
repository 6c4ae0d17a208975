"""The tables of what a tenant has beside jobs: API keys, policies, a log of who changed what."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Identity, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.db.base import Base


class ApiKey(Base):
    """A key that clients send, by the part of it that may be shown; of its secret only a digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    name: Mapped[str]
    """What its owner calls it."""
    digest: Mapped[bytes]
    """HMAC-SHA256 of the secret with the pepper of the settings."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    rate_limit: Mapped[str | None]
    """Requests it may send, as ``600/minute``; None: what the settings say, here and below."""
    jobs_per_day: Mapped[int | None] = mapped_column(BigInteger)
    bytes_per_day: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To the minute."""


class Policy(Base):
    """A version of a policy; it never changes, so that a verdict can be explained for ever."""

    __tablename__ = "policies"
    __table_args__ = (UniqueConstraint("tenant", "name", "version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    name: Mapped[str]
    version: Mapped[int]
    """Counts from 1; jobs that name the policy get the newest."""
    description: Mapped[str | None]
    suspicious_false_positive_rate: Mapped[float | None]
    manipulated_false_positive_rate: Mapped[float | None]
    """None: the model's own thresholds."""
    actions: Mapped[dict[str, Any]]
    """``policy_schemas.Actions`` as JSON."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def public_id(self) -> str:
        """The id that clients see."""
        return f"pol_{self.id.hex}"


class AuditEvent(Base):
    """Who changed what: written in the transaction of the change, never changed."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant: Mapped[str] = mapped_column(index=True)
    actor: Mapped[str]
    """The id of the API key, ``operator``, or the part of the service that did it by itself."""
    action: Mapped[str]
    target: Mapped[str]
    """The id of what was changed."""
    request_id: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)
