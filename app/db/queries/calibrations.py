"""SQL of calibrations. Functions take a session and never commit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, cast, func, select, update
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.core.enums import FeedbackLabel
from app.db.tables.calibrations import Calibration, OwnCalibration
from app.db.tables.jobs import Feedback, Job
from app.db.tables.results import Result

_PROBABILITIES = "$.tracks[*].probability ? (@ != null)"


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """Clip of a job with the probability of each person that was evaluated."""

    sha256: str
    model_calibration_sha256: str
    probabilities: list[float]
    label: FeedbackLabel | None
    """Newest feedback on the job."""


def add_calibration(session: Session, *, sha256: str, payload: dict[str, Any]) -> None:
    """Insert the calibration of a model if it does not exist."""
    session.execute(upsert(Calibration).values(sha256=sha256, payload=payload).on_conflict_do_nothing())


def get_calibration(session: Session, sha256: str) -> Calibration:
    """Return the calibration of a model. It exists because of the foreign keys."""
    stored: Calibration = session.get_one(Calibration, sha256)
    return stored


def list_calibrations(session: Session) -> Sequence[Calibration]:
    """Return the calibrations of all models, newest first."""
    return session.scalars(select(Calibration).order_by(Calibration.created_at.desc())).all()


def list_own_calibrations(session: Session, *, tenant: str) -> Sequence[OwnCalibration]:
    """Return the calibrations of a tenant, newest first."""
    query = select(OwnCalibration).where(OwnCalibration.tenant == tenant)
    return session.scalars(query.order_by(OwnCalibration.id.desc())).all()


def find_own_calibration(session: Session, calibration_id: UUID, *, tenant: str) -> OwnCalibration | None:
    """Return a calibration of a tenant."""
    query = select(OwnCalibration).where(OwnCalibration.id == calibration_id, OwnCalibration.tenant == tenant)
    return session.scalars(query).one_or_none()


def list_active_calibrations(session: Session, *, tenant: str) -> Sequence[OwnCalibration]:
    """Return the active calibrations of a tenant, one per calibration of a model."""
    query = select(OwnCalibration).where(OwnCalibration.tenant == tenant, OwnCalibration.is_active)
    return session.scalars(query).all()


def deactivate_calibrations(session: Session, *, tenant: str, model_calibration_sha256: str) -> None:
    """Make the calibration of the model hold again."""
    session.execute(
        update(OwnCalibration)
        .where(
            OwnCalibration.tenant == tenant,
            OwnCalibration.model_calibration_sha256 == model_calibration_sha256,
            OwnCalibration.is_active,
        )
        .values(is_active=False)
    )


def iterate_scored_clips(
    session: Session, *, tenant: str, job_ids: Sequence[UUID] | None, batch_id: UUID | None
) -> Iterator[ScoredClip]:
    """Yield the clips of a tenant's jobs with a result, newest first.

    Args:
        session: Has a transaction.
        tenant: Owner of the jobs.
        job_ids: Only these jobs.
        batch_id: Only the jobs of this batch. Without both: the jobs with feedback.
    """
    newest_label = (
        select(Feedback.label)
        .where(Feedback.job_id == Job.id)
        .order_by(Feedback.id.desc())
        .limit(1)
        .correlate(Job)
        .scalar_subquery()
    )
    probabilities = func.jsonb_path_query_array(Result.payload, cast(_PROBABILITIES, JSONPATH))
    query = (
        select(Job.clip_sha256, Result.calibration_sha256, probabilities, newest_label)
        .join(Job.result)
        .where(Job.tenant == tenant, Job.deleted_at.is_(None), *_chosen(job_ids, batch_id, newest_label.is_not(None)))
        .order_by(Job.id.desc())
        .execution_options(yield_per=1000)
    )
    for row in session.execute(query):
        yield ScoredClip(*row)


def _chosen(
    job_ids: Sequence[UUID] | None, batch_id: UUID | None, has_feedback: ColumnElement[bool]
) -> list[ColumnElement[bool]]:
    if job_ids is not None:
        return [Job.id.in_(job_ids)]
    return [has_feedback if batch_id is None else Job.batch_id == batch_id]
