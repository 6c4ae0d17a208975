"""Table of resumable uploads."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.core.ids import IdPrefix, format_id
from app.db.engine import Base


class ClipUpload(Base):
    """Resumable upload of a clip. A complete upload can be the source of jobs."""

    __tablename__ = "clip_uploads"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    clip_name: Mapped[str | None]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """Declared size; the upload is complete when this number of bytes has arrived."""
    declared_sha256: Mapped[str | None]
    url_digest: Mapped[bytes] = mapped_column(unique=True)
    """SHA-256 of the secret in its one-time URL."""
    url_expires_at: Mapped[datetime]
    clip_sha256: Mapped[str | None] = mapped_column(index=True)
    """SHA-256 of the complete clip; None while bytes are missing."""
    used_at: Mapped[datetime | None]
    """Time at which the first job used the upload. From then on only jobs reference the clip."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """Time at which the upload is deleted, complete or not."""

    @property
    def public_id(self) -> str:
        """Id that clients see."""
        return format_id(IdPrefix.UPLOAD, self.id)
