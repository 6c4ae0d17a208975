"""Tables of the workers' default models, and of models that are added over the API."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.core.enums import ImportStatus
from app.core.ids import IdPrefix, format_id
from app.db.engine import Base, enum_column


class DefaultModel(Base):
    """Model that a worker registered as its default at its start."""

    __tablename__ = "default_models"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    """Digest of the manifest."""
    payload: Mapped[dict[str, Any]]
    """``schemas.models.Model`` as JSON."""
    calibration_sha256: Mapped[str] = mapped_column(ForeignKey("calibrations.sha256"))
    registered_at: Mapped[datetime] = mapped_column(index=True)
    """Last start of a worker with this model."""


class ModelImport(Base):
    """Archive of a model that a worker checks and installs. The file is deleted when the import has ended."""

    __tablename__ = "model_imports"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str]
    status: Mapped[ImportStatus] = mapped_column(enum_column(ImportStatus), index=True)
    name: Mapped[str | None]
    """Name and version of the model, once its manifest was read."""
    version: Mapped[str | None]
    reason: Mapped[str | None]
    """Reason for which the import failed, with the next step."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    @property
    def public_id(self) -> str:
        """Id that clients see."""
        return format_id(IdPrefix.MODEL_IMPORT, self.id)
