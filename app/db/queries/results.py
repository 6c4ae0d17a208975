"""SQL of results and their frames. Functions take a session and never commit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import cast, delete, func, insert, literal, select
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import Session, contains_eager

from app.core.enums import RecommendedAction, Verdict
from app.core.ids import IdPrefix, format_id
from app.db.tables.jobs import Feedback, Job
from app.db.tables.results import FrameScore, Result

_EVALUATED_TRACKS = "$.tracks[*] ? (@.probability != null)"


@dataclass(frozen=True, slots=True)
class PastVerdict:
    """Verdict of a job with the values it was decided from."""

    job_id: str
    verdict: Verdict
    calibration_sha256: str
    probability: float | None
    people: int
    """Number of people that were evaluated; at least 1."""
    recommended_action: RecommendedAction
    policy_id: UUID | None


def find_reusable_result(session: Session, job: Job, *, detector_sha256: str) -> Job | None:
    """Return the newest job of the same tenant with a result for the same part of the same bytes and detector."""
    query = (
        select(Job)
        .join(Job.result)
        .options(contains_eager(Job.result))
        .where(
            Job.tenant == job.tenant,
            Job.clip_sha256 == job.clip_sha256,
            Job.start_seconds.is_not_distinct_from(job.start_seconds),
            Job.end_seconds.is_not_distinct_from(job.end_seconds),
            Job.deleted_at.is_(None),
            Result.detector_sha256 == detector_sha256,
        )
    )
    # Locked, so that the job is not deleted while its result is copied.
    return session.scalars(query.order_by(Job.id.desc()).limit(1).with_for_update(of=Job, read=True)).one_or_none()


def copy_frames(session: Session, source: Job, target: Job) -> None:
    """Copy the frames of a job to another one."""
    frames = select(literal(target.id), FrameScore.position, FrameScore.payload)
    session.execute(
        insert(FrameScore).from_select(["job_id", "position", "payload"], frames.where(FrameScore.job_id == source.id))
    )


def add_frames(session: Session, job: Job, frames: Sequence[dict[str, Any]]) -> None:
    """Insert the frames of a job, in the order of the clip."""
    rows = [{"job_id": job.id, "position": position, "payload": row} for position, row in enumerate(frames)]
    if rows:
        session.execute(insert(FrameScore), rows)


def find_result(session: Session, job_id: UUID) -> Result | None:
    """Return the result of a job."""
    return session.get(Result, job_id)


def iterate_verdicts(
    session: Session,
    *,
    tenant: str,
    created_after: datetime | None,
    created_before: datetime | None,
    jobs_max: int,
    calibration_sha256: str | None = None,
) -> Iterator[PastVerdict]:
    """Yield the verdicts of a tenant's jobs, newest first, without the rest of their results."""
    probability = Result.payload["probability"].as_float()
    people = func.jsonb_array_length(func.jsonb_path_query_array(Result.payload, cast(_EVALUATED_TRACKS, JSONPATH)))
    action = Result.payload["recommended_action"].as_string()
    query = (
        select(Job.id, Job.verdict, Result.calibration_sha256, probability, people, action, Job.policy_id)
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
    if calibration_sha256 is not None:
        query = query.where(Result.calibration_sha256 == calibration_sha256)
    for job_id, verdict, sha256, probability_of_job, count, action_of_job, policy_id in session.execute(query):
        yield PastVerdict(
            job_id=format_id(IdPrefix.JOB, job_id),
            verdict=verdict,
            calibration_sha256=sha256,
            probability=probability_of_job,
            people=max(count, 1),
            recommended_action=RecommendedAction(action_of_job),
            policy_id=policy_id,
        )


def list_frames(session: Session, job_id: UUID, *, after: int | None, limit: int) -> Sequence[FrameScore]:
    """Return frames after a position, in the order of the clip."""
    query = select(FrameScore).where(FrameScore.job_id == job_id)
    if after is not None:
        query = query.where(FrameScore.position > after)
    return session.execute(query.order_by(FrameScore.position).limit(limit)).scalars().all()


def delete_result(session: Session, job_id: UUID) -> None:
    """Delete the result, the frames and the feedback of a job."""
    for table in (FrameScore, Result, Feedback):
        session.execute(delete(table).where(table.job_id == job_id))
