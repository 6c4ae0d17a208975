"""Tables of results, frame scores and calibrations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.engine import Base


class Result(Base):
    """What the detector found. The primary key is the job's: a second result cannot be stored."""

    __tablename__ = "results"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int]
    payload: Mapped[dict[str, Any]]
    """``schemas.Result`` as JSON."""
    detector_sha256: Mapped[str]
    """Names all that the result depends on beside the clip: weights, configuration, calibration."""
    calibration_sha256: Mapped[str] = mapped_column(ForeignKey("calibrations.sha256"))
    """What its thresholds were taken from."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Calibration(Base):
    """What thresholds of a model cost: kept with the first result, so that old results can be judged anew."""

    __tablename__ = "calibrations"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    payload: Mapped[dict[str, Any]]
    """``policy_schemas.Calibration`` as JSON."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class FrameScore(Base):
    """One face in one sampled frame, in the order of the clip."""

    __tablename__ = "frame_scores"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    payload: Mapped[dict[str, Any]]
    """``schemas.Frame`` as JSON."""
