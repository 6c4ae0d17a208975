"""What comes back over the wire: jobs, results, frames."""

from datetime import datetime
from typing import Literal, Self

from pydantic import model_validator

from app.policy_schemas import AppliedPolicy, PolicyName
from app.registry import ModelName
from app.states import (
    FailureCode,
    FeedbackLabel,
    JobStatus,
    Phase,
    Priority,
    ReasonCode,
    RecommendedAction,
    Verdict,
    WarningCode,
)
from app.wire import LongText, Schema, ShortText


class Box(Schema):
    """A face box in pixels of the upright frame; it may reach beyond the frame."""

    x: float
    y: float
    width: float
    height: float


class Frame(Schema):
    """One face in one sampled frame."""

    track_id: str
    window: int
    """Which run of neighbouring frames the frame belongs to, from 0."""
    pts_seconds: float
    """Presentation time, counted from the first frame of the clip."""
    box: Box
    detection_confidence: float
    sharpness: float
    """Variance of the Laplacian of the face crop, divided by its contrast; low is blurred."""
    brightness: float
    """Mean luma of the face crop, 0 to 255."""
    unusable: ReasonCode | None
    """Why the classifier did not look at this face; null where it did."""
    logit: float | None
    """Raw output of the classifier, positive is fake."""
    probability: float | None
    """Calibrated P(fake) where the model is calibrated, else the sigmoid of the logit."""


class Reason(Schema):
    """Why a clip or a track was not evaluated."""

    code: ReasonCode
    detail: str


class ClipWarning(Schema):
    """What a reader of the result should know."""

    code: WarningCode
    detail: str


class Track(Schema):
    """The faces of one person over time."""

    track_id: str
    verdict: Verdict
    probability: float | None
    logit: float | None
    reasons: list[Reason]
    first_seconds: float
    last_seconds: float
    face_frames: int
    usable_frames: int
    median_face_px: float


class Coverage(Schema):
    """How much of the clip the verdict rests on."""

    frames_sampled: int
    frames_with_face: int
    faces_max: int
    """The most faces in one frame."""
    tracks: int


class ClipInfo(Schema):
    """What the decoder says of the clip."""

    container: str
    codec: str
    width: int
    """Upright width in pixels: rotation and pixel shape applied."""
    height: int
    rotation_degrees: int
    duration_seconds: float | None
    fps: float | None
    bit_depth: int


class Model(Schema):
    """Which weights said so."""

    name: str
    version: str
    trained: bool
    weights_sha256: str | None
    calibrated: bool


class Timings(Schema):
    """Where the time of the attempt went."""

    extract_seconds: float
    score_seconds: float


class Finding(Schema):
    """What the detector found in a clip, judged by the model's own thresholds."""

    verdict: Verdict
    probability: float | None
    """P(fake) of the track that decided; null where nothing was evaluated."""
    decided_by: str | None
    """The track that decided the verdict."""
    reasons: list[Reason]
    warnings: list[ClipWarning]
    coverage: Coverage
    tracks: list[Track]
    clip: ClipInfo
    model: Model
    timings: Timings


class Result(Finding):
    """What the detector found in a clip, judged by a policy."""

    recommended_action: RecommendedAction
    policy: AppliedPolicy


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


class FeedbackRequest(Schema):
    """What a person says of a clip."""

    label: FeedbackLabel
    category: ShortText | None = None
    """A word of your own, as `face swap`."""
    note: LongText | None = None


class Feedback(FeedbackRequest):
    """What a person said of a clip."""

    id: str
    created_at: datetime


class FeedbackList(Schema):
    """All that was said of a clip, in order."""

    items: list[Feedback]


class InstalledModel(Schema):
    """A model that jobs may name."""

    name: str
    version: str
    trained: bool


class ModelList(Schema):
    """The installed models, by name."""

    items: list[InstalledModel]


class JobPage(Schema):
    """Jobs, newest first."""

    items: list[Job]
    next_cursor: str | None


class FramePage(Schema):
    """Frames in the order of the clip."""

    items: list[Frame]
    next_cursor: str | None
