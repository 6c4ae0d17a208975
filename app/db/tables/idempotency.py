"""Table of idempotency keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class IdempotencyKey(Base):
    """Idempotency-Key of a submission. A second request with the same key creates no second job."""

    __tablename__ = "idempotency_keys"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    token: Mapped[UUID]
    """Token of the request that has claimed the key."""
    fingerprint: Mapped[str | None]
    """Fingerprint of the submission; None while its request is processed."""
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    batch_id: Mapped[UUID | None] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"))
    locked_until: Mapped[datetime]
    """Expiry of the claim. A request that has not ended by then is considered lost."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
