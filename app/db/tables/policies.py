"""Table of policies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.core.ids import IdPrefix, format_id
from app.db.engine import Base


class Policy(Base):
    """Version of a policy. Immutable, so that old verdicts remain explainable."""

    __tablename__ = "policies"
    __table_args__ = (UniqueConstraint("tenant", "name", "version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    name: Mapped[str]
    version: Mapped[int]
    """Version number from 1. Jobs that select the policy by name get the newest version."""
    description: Mapped[str | None]
    suspicious_false_positive_rate: Mapped[float | None]
    manipulated_false_positive_rate: Mapped[float | None]
    """False-positive rates of the thresholds; None selects the model's own thresholds."""
    actions: Mapped[dict[str, Any]]
    """``schemas.policies.Actions`` as JSON."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def public_id(self) -> str:
        """Id that clients see."""
        return format_id(IdPrefix.POLICY, self.id)
