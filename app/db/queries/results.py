"""The SQL of results, their frames and calibrations. Like ``repositories``, it takes a session and never commits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, contains_eager

from app.core.enums import RecommendedAction, Verdict
from app.db.tables.jobs import Feedback, Job, format_job_id
from app.db.tables.results import Calibration, FrameScore, Result


@dataclass(frozen=True, slots=True)
class PastVerdict:
    """What a job came to."""

    job_id: str
    verdict: Verdict
    calibration_sha256: str
    probability: float | None
    recommended_action: RecommendedAction


def find_reusable_result(session: Session, job: Job, *, detector_sha256: str) -> Job | None:
    """The newest job of the same tenant whose result for the same bytes came from the same detector."""
    query = (
        select(Job)
        .join(Job.result)
        .options(contains_eager(Job.result))
        .where(
            Job.tenant == job.tenant,
            Job.clip_sha256 == job.clip_sha256,
            Job.deleted_at.is_(None),
            Result.detector_sha256 == detector_sha256,
        )
    )
    # Locked, so that it is not deleted while its result is copied.
    return session.scalars(query.order_by(Job.id.desc()).limit(1).with_for_update(of=Job, read=True)).one_or_none()


def copy_frames(session: Session, source: Job, target: Job) -> None:
    """Gives a job the frames of another one."""
    frames = select(literal(target.id), FrameScore.position, FrameScore.payload)
    session.execute(
        insert(FrameScore).from_select(["job_id", "position", "payload"], frames.where(FrameScore.job_id == source.id))
    )


def add_frames(session: Session, job: Job, frames: Sequence[dict[str, Any]]) -> None:
    """Stores the frames of a job, in the order of the clip."""
    rows = [{"job_id": job.id, "position": position, "payload": row} for position, row in enumerate(frames)]
    if rows:
        session.execute(insert(FrameScore), rows)


def add_calibration(session: Session, *, sha256: str, payload: dict[str, Any]) -> None:
    """Keeps a calibration, if it is not kept already."""
    session.execute(upsert(Calibration).values(sha256=sha256, payload=payload).on_conflict_do_nothing())


def get_calibration(session: Session, sha256: str) -> Calibration:
    """The calibration of a result, which a foreign key holds."""
    stored: Calibration = session.get_one(Calibration, sha256)
    return stored


def list_calibrations(session: Session) -> Sequence[Calibration]:
    """All calibrations, the newest first."""
    return session.scalars(select(Calibration).order_by(Calibration.created_at.desc())).all()


def iterate_verdicts(
    session: Session, *, tenant: str, created_after: datetime | None, created_before: datetime | None, jobs_max: int
) -> Iterator[PastVerdict]:
    """The verdicts of a tenant's jobs, newest first, without the rest of their results."""
    probability = Result.payload["probability"].as_float()
    action = Result.payload["recommended_action"].as_string()
    query = (
        select(Job.id, Job.verdict, Result.calibration_sha256, probability, action)
        .join(Job.result)
        .where(Job.tenant == tenant, Job.deleted_at.is_(None))
        .order_by(Job.id.desc())
        .limit(jobs_max)
        .execution_options(yield_per=1000)
    )
    if created_after is not None:
        query = query.where(Job.created_at > created_after)
    if created_before is not None:
        query = query.where(Job.created_at < created_before)
    for job_id, verdict, sha256, found, advised in session.execute(query):
        yield PastVerdict(format_job_id(job_id), verdict, sha256, found, RecommendedAction(advised))


def list_frames(session: Session, job_id: UUID, *, after: int | None, limit: int) -> Sequence[FrameScore]:
    """Frames behind a position, in the order of the clip."""
    query = select(FrameScore).where(FrameScore.job_id == job_id)
    if after is not None:
        query = query.where(FrameScore.position > after)
    return session.execute(query.order_by(FrameScore.position).limit(limit)).scalars().all()


def delete_result(session: Session, job_id: UUID) -> None:
    """Removes the result, the frames, and what was said of the clip."""
    for table in (FrameScore, Result, Feedback):
        session.execute(delete(table).where(table.job_id == job_id))
