"""The tables of what a tenant has beside jobs: API keys, policies, a log of who changed what."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.db.engine import Base


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
