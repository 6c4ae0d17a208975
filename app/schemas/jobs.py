"""What comes back over the wire: jobs, results, frames."""

from datetime import datetime
from typing import Literal, Self

from pydantic import model_validator

from app.core.enums import (
    FailureCode,
    JobStatus,
    Phase,
    Priority,
    RecommendedAction,
    Verdict,
)
from app.core.ids import ModelName
from app.schemas.base import Schema
from app.schemas.policies import PolicyName
from app.schemas.results import Result


class ClipSummary(Schema):
    """The file of the clip."""

    name: str | None
    url: str | None
    """Where it came from, if it was not uploaded."""
    sha256: str | None
    """Null until the clip was fetched, as `bytes`."""
    bytes: int | None
    deleted_at: datetime | None
    """When the file was deleted; null while it is kept."""


class Progress(Schema):
    """How far a running attempt is."""

    phase: Phase
    done: int
    total: int | None


class Failure(Schema):
    """Why a job failed."""

    code: FailureCode
    message: str
    retryable: bool
    """True where submitting the same clip again may end differently."""
    attempt: int


class Links(Schema):
    """Where to go from here."""

    self: str
    result: str
    frames: str
    events: str


class Job(Schema):
    """A request to judge one clip."""

    id: str
    object: Literal["job"] = "job"
    status: JobStatus
    priority: Priority
    verdict: Verdict | None
    recommended_action: RecommendedAction | None
    """What the policy advises to do with the clip."""
    external_id: str | None
    metadata: dict[str, str]
    model: str | None
    """The model that was asked for; the result says which one judged."""
    policy_id: str | None
    """The policy that judges; null: the model's own thresholds."""
    clip: ClipSummary
    attempts: int
    deduplicated_from: str | None
    """The job whose result this is, for the same bytes and the same detector; null where the clip was judged anew."""
    reanalysis_of: str | None
    """The job whose clip this one looks at again."""
    batch_id: str | None
    queue_position: int | None
    """Jobs in front of this one while it is queued."""
    progress: Progress | None
    failure: Failure | None
    result: Result | None
    start_before: datetime | None
    """A job that has not started by then expires."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: Links


class JobEvent(Schema):
    """A move of a job from one status to the next."""

    job_id: str
    status: JobStatus
    attempt: int
    at: datetime


class ReanalysisRequest(Schema):
    """How a clip is looked at again; one of both, or both."""

    policy: PolicyName | None = None
    """Its newest version judges the probabilities that are there; nothing is decoded. Null: as before."""
    model: ModelName | None = None
    """An installed model looks at the clip, if it is still kept."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.policy is None and self.model is None:
            raise ValueError("name a policy, a model, or both")
        return self


class JobPage(Schema):
    """Jobs, newest first."""

    items: list[Job]
    next_cursor: str | None
