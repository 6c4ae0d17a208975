"""Table of resumable uploads."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.db.engine import Base


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
