"""Schemas of results: clip, tracks, frames, reasons, and what a worker hands over."""

from app.core.enums import ReasonCode, RecommendedAction, Verdict, WarningCode
from app.schemas.base import Schema
from app.schemas.policies import AppliedPolicy


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


class FramePage(Schema):
    """Frames in the order of the clip."""

    items: list[Frame]
    next_cursor: str | None
