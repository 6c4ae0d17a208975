"""Table of batches."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.db.engine import Base


class Batch(Base):
    """Jobs that were submitted together."""

    __tablename__ = "batches"
    __table_args__ = (Index("ix_batches_open", "id", postgresql_where=text("completed_at IS NULL")),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    completed_at: Mapped[datetime | None]
    """When it was noticed that all jobs have ended, and told to the webhooks."""

    @property
    def public_id(self) -> str:
        """The id that clients see."""
        return f"batch_{self.id.hex}"
