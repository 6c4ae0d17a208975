"""SQL of the quality of verdicts, by feedback. Functions take a session and never commit."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from app.core.enums import FeedbackLabel, Verdict
from app.db.tables.jobs import Feedback, Job
from app.db.tables.results import Result


@dataclass(frozen=True, slots=True)
class LabelledCount:
    """Number of reviewed jobs with the same model, policy, verdict and label."""

    model: str
    version: str
    policy: str
    verdict: Verdict
    label: FeedbackLabel
    jobs: int


def count_labels(session: Session, *, tenant: str, created_after: datetime | None) -> list[LabelledCount]:
    """Count the reviewed jobs of a tenant by their newest feedback."""
    newest = (
        select(Feedback.job_id, Feedback.label)
        .join(Job, Job.id == Feedback.job_id)
        .where(Job.tenant == tenant)
        .ext(distinct_on(Feedback.job_id))
        .order_by(Feedback.job_id, Feedback.id.desc())
        .subquery()
    )
    model, version = (Result.payload["model"][name].as_string().label(f"model_{name}") for name in ("name", "version"))
    policy = Result.payload["policy"]["name"].as_string().label("policy_name")
    query = (
        select(model, version, policy, Job.verdict, newest.c.label, func.count())
        .join(Job.result)
        .join(newest, newest.c.job_id == Job.id)
        .where(Job.tenant == tenant, Job.deleted_at.is_(None))
        # By name: PostgreSQL does not see that two parameters of a path are the same.
        .group_by("model_name", "model_version", "policy_name", Job.verdict, newest.c.label)
    )
    if created_after is not None:
        query = query.where(Job.created_at > created_after)
    return [LabelledCount(*row) for row in session.execute(query)]
