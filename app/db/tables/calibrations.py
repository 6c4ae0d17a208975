"""Tables of calibrations: those of models, and those of tenants on their own clips."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from app.core.ids import IdPrefix, format_id
from app.db.engine import Base


class Calibration(Base):
    """Calibration of a model, stored before its first result, so that other policies can be applied to old results."""

    __tablename__ = "calibrations"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    payload: Mapped[dict[str, Any]]
    """``schemas.calibrations.Calibration`` as JSON."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OwnCalibration(Base):
    """Calibration of a model on clips of a tenant. It replaces that of the model while it is active."""

    __tablename__ = "own_calibrations"
    __table_args__ = (
        Index(
            "ix_own_calibrations_active", "tenant", "model_calibration_sha256",
            unique=True, postgresql_where=text("is_active"),
        ),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str] = mapped_column(index=True)
    model_calibration_sha256: Mapped[str] = mapped_column(ForeignKey("calibrations.sha256"))
    """Calibration of the model whose results it was made from. It holds for these results alone."""
    payload: Mapped[dict[str, Any]]
    """``schemas.calibrations.Calibration`` as JSON: counts and thresholds, no score of a single clip's job."""
    is_active: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def public_id(self) -> str:
        """Id that clients see."""
        return format_id(IdPrefix.CALIBRATION, self.id)
