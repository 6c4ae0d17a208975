"""Table of batches."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.core.ids import IdPrefix, format_id
from app.db.engine import Base


class Batch(Base):
    """Jobs that were submitted together."""

    __tablename__ = "batches"
    __table_args__ = (Index("ix_batches_open", "id", postgresql_where=text("completed_at IS NULL")),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]
    """Time at which the sweeper found all jobs ended and emitted ``batch.completed``."""

    @property
    def public_id(self) -> str:
        """Id that clients see."""
        return format_id(IdPrefix.BATCH, self.id)
