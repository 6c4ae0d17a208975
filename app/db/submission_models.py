"""The tables of submissions: uploads that come in pieces, batches, idempotency keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.db.base import Base


class ClipUpload(Base):
    """A clip that comes in pieces; jobs may name it once it is complete."""

    __tablename__ = "clip_uploads"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    clip_name: Mapped[str | None]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """As declared; the upload is complete when so many are there."""
    declared_sha256: Mapped[str | None]
    url_digest: Mapped[bytes] = mapped_column(unique=True)
    """SHA-256 of the secret in its one-time URL."""
    url_expires_at: Mapped[datetime]
    clip_sha256: Mapped[str | None] = mapped_column(index=True)
    """Of the complete clip; None while bytes lack."""
    used_at: Mapped[datetime | None]
    """When a job was made of it: from then on jobs hold the clip, and their deletion deletes it."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """Then it is forgotten, complete or not."""

    @property
    def public_id(self) -> str:
        """The id that clients see."""
        return f"up_{self.id.hex}"


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
