"""Schemas of jobs."""

from datetime import datetime
from typing import Any, Literal

from app.core.enums import (
    FailureCode,
    JobStatus,
    Phase,
    Priority,
    RecommendedAction,
    Verdict,
)
from app.core.ids import IdPrefix, ModelName, example_id
from app.schemas.base import EXAMPLE_JOB_ID, EXAMPLE_SHA256, EXAMPLE_TIME, Schema, example
from app.schemas.policies import PolicyName
from app.schemas.results import RESULT_EXAMPLE, Result

_JOB_EXAMPLE: dict[str, Any] = {
    "id": EXAMPLE_JOB_ID,
    "object": "job",
    "status": "succeeded",
    "priority": "live",
    "verdict": "SUSPICIOUS",
    "recommended_action": "review",
    "external_id": "post-123",
    "metadata": {"queue": "ugc"},
    "model": None,
    "start_seconds": None,
    "end_seconds": None,
    "policy_id": example_id(IdPrefix.POLICY),
    "clip": {"name": "clip.mp4", "url": None, "sha256": EXAMPLE_SHA256, "bytes": 1048576, "deleted_at": None},
    "attempts": 1,
    "deduplicated_from": None,
    "reanalysis_of": None,
    "batch_id": None,
    "queue_position": None,
    "progress": None,
    "failure": None,
    "result": RESULT_EXAMPLE,
    "start_before": None,
    "created_at": EXAMPLE_TIME,
    "started_at": "2026-11-23T17:00:01Z",
    "finished_at": "2026-11-23T17:00:02Z",
    "links": {
        "self": f"/v1/jobs/{EXAMPLE_JOB_ID}",
        "result": f"/v1/jobs/{EXAMPLE_JOB_ID}/result",
        "frames": f"/v1/jobs/{EXAMPLE_JOB_ID}/frames",
        "events": f"/v1/jobs/{EXAMPLE_JOB_ID}/events",
    },
}


class ClipSummary(Schema):
    """File of the clip."""

    name: str | None
    url: str | None
    """Source URL, if the clip was not uploaded."""
    sha256: str | None
    """Null until the clip was fetched; so is `bytes`."""
    bytes: int | None
    deleted_at: datetime | None
    """Time of the deletion of the file; null while it is kept."""


class Progress(Schema):
    """Progress of a running attempt."""

    phase: Phase
    done: int
    total: int | None
    eta_seconds: float | None
    """Time until the attempt ends at the speed until now; null while it cannot be estimated."""


class Failure(Schema):
    """Failure of a job."""

    code: FailureCode
    message: str
    retryable: bool
    """True if the same clip may succeed when it is submitted again."""
    attempt: int


class Links(Schema):
    """Links to the job and its parts: URLs if `UNMASK_PUBLIC_URL` is set, else paths."""

    self: str
    result: str
    frames: str
    events: str


class Job(Schema):
    """Job: the analysis of one clip."""

    model_config = example(_JOB_EXAMPLE)

    id: str
    object: Literal["job"] = "job"
    status: JobStatus
    priority: Priority
    verdict: Verdict | None
    recommended_action: RecommendedAction | None
    """Action that the policy recommends for the verdict."""
    external_id: str | None
    metadata: dict[str, str]
    model: str | None
    """Model that the job names; the result names the model that analyzed the clip."""
    start_seconds: float | None
    end_seconds: float | None
    """Part of the clip that the job names; null: its begin, its end."""
    policy_id: str | None
    """Policy that decides the verdict; null: the model's own thresholds."""
    clip: ClipSummary
    attempts: int
    deduplicated_from: str | None
    """Job whose result this is, for the same bytes and detector; null if the clip was analyzed."""
    reanalysis_of: str | None
    """Job whose clip or result this job reanalyzes."""
    batch_id: str | None
    queue_position: int | None
    """Number of jobs in front of this one while it is queued."""
    progress: Progress | None
    failure: Failure | None
    result: Result | None
    start_before: datetime | None
    """The job expires if it has not started by then."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: Links


class JobEvent(Schema):
    """Transition of a job to a new status."""

    job_id: str
    status: JobStatus
    attempt: int
    at: datetime
    verdict: Verdict | None
    """Verdict of a job that has succeeded, else null; so is `probability`."""
    probability: float | None


class ProgressEvent(Progress):
    """Progress of a running job."""

    job_id: str
    at: datetime


class ReanalysisRequest(Schema):
    """Reanalysis of a job by another policy or model; without them by the policy and calibration that hold now."""

    model_config = example({"policy": "strict"})

    policy: PolicyName | None = None
    """Policy, in its newest version, for the stored probabilities; nothing is decoded. Null: the same as before, in its
    newest version."""
    model: ModelName | None = None
    """Installed model that analyzes the clip. The clip must not have been deleted."""


class JobPage(Schema):
    """Page of jobs, newest first."""

    model_config = example({"items": [_JOB_EXAMPLE], "next_cursor": None})

    items: list[Job]
    next_cursor: str | None
