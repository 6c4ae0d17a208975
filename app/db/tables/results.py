"""Tables of results and frame scores."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class Result(Base):
    """Result of a job. The primary key is the job's id, so that no second result can be stored."""

    __tablename__ = "results"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int]
    payload: Mapped[dict[str, Any]]
    """``schemas.results.Result`` as JSON."""
    detector_sha256: Mapped[str]
    """Digest of everything except the clip that determines the result: weights, configuration, calibration."""
    calibration_sha256: Mapped[str] = mapped_column(ForeignKey("calibrations.sha256"))
    """Calibration of the model. The payload names the one that decided, which may be of the tenant."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class FrameScore(Base):
    """Score of one face in one sampled frame. Positions follow the order of the clip."""

    __tablename__ = "frame_scores"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    payload: Mapped[dict[str, Any]]
    """``schemas.results.Frame`` as JSON."""
