"""The tables of submissions: uploads that come in pieces, batches, idempotency keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class IdempotencyKey(Base):
    """A key that a client sent with a submission: the same key makes no second job."""

    __tablename__ = "idempotency_keys"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    token: Mapped[UUID]
    """Of the request that has it in hand."""
    fingerprint: Mapped[str | None]
    """Of what was submitted with it; None while that is on its way."""
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    batch_id: Mapped[UUID | None] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    locked_until: Mapped[datetime]
    """A request that has not ended by then never will."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
