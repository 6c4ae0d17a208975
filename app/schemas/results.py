"""Schemas of results: clip, tracks, frames, reasons."""

from typing import Any

from app.core.enums import ReasonCode, RecommendedAction, Verdict, WarningCode
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_SHA256, Schema, example
from app.schemas.policies import AppliedPolicy

FRAME_EXAMPLE: dict[str, Any] = {
    "track_id": "t0",
    "window": 0,
    "pts_seconds": 0.04,
    "box": {"x": 311.0, "y": 96.5, "width": 180.2, "height": 180.2},
    "detection_confidence": 0.93,
    "sharpness": 0.071,
    "brightness": 131.5,
    "unusable": None,
    "logit": 1.92,
    "probability": 0.83,
}
RESULT_EXAMPLE: dict[str, Any] = {
    "verdict": "SUSPICIOUS",
    "probability": 0.87,
    "decided_by": "t0",
    "reasons": [],
    "warnings": [],
    "coverage": {"frames_sampled": 16, "frames_with_face": 16, "faces_max": 1, "tracks": 1},
    "tracks": [
        {
            "track_id": "t0",
            "verdict": "SUSPICIOUS",
            "probability": 0.87,
            "logit": 1.71,
            "reasons": [],
            "first_seconds": 0.0,
            "last_seconds": 9.8,
            "face_frames": 16,
            "usable_frames": 16,
            "median_face_px": 180.0,
        }
    ],
    "clip": {
        "container": "mp4",
        "codec": "h264",
        "width": 1280,
        "height": 720,
        "rotation_degrees": 0,
        "mirrored": False,
        "duration_seconds": 10.0,
        "fps": 29.97,
        "bit_depth": 8,
    },
    "model": {
        "name": "unmask-b3",
        "version": "0.2.1",
        "trained": True,
        "weights_sha256": EXAMPLE_SHA256,
        "calibrated": True,
    },
    "timings": {"extract_seconds": 0.51, "score_seconds": 0.14},
    "recommended_action": "review",
    "policy": {
        "id": example_id(IdPrefix.POLICY),
        "name": "default",
        "version": 3,
        "suspicious_at": 0.84,
        "suspicious_false_positive_rate": 0.1,
        "manipulated_at": 0.91,
        "manipulated_false_positive_rate": 0.01,
        "calibration_sha256": EXAMPLE_SHA256,
    },
}


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
    """Number of the window of neighbouring frames, from 0."""
    pts_seconds: float
    """Presentation time, from the first frame of the clip."""
    box: Box
    detection_confidence: float
    sharpness: float
    """Variance of the Laplacian of the face crop divided by its contrast. A low value is blurred."""
    brightness: float
    """Mean luma of the face crop, 0 to 255."""
    unusable: ReasonCode | None
    """Reason why the classifier did not evaluate this face; null if it did."""
    logit: float | None
    """Raw output of the classifier, positive is fake."""
    probability: float | None
    """P(fake) on the scale of the clip: the mean of the log-odds of a track's frames is that of the track, so the
    thresholds of the policy hold for both."""


class Reason(Schema):
    """Reason why a clip or a track was not evaluated."""

    code: ReasonCode
    detail: str


class ClipWarning(Schema):
    """Limitation of the result."""

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
    """Part of the clip that was analyzed."""

    frames_sampled: int
    frames_with_face: int
    faces_max: int
    """Maximum number of faces in one frame."""
    tracks: int


class ClipInfo(Schema):
    """Properties of the decoded clip."""

    container: str
    codec: str
    width: int
    """Width in pixels after rotation and pixel aspect ratio are applied."""
    height: int
    rotation_degrees: int
    """Clockwise rotation that was applied to the stored picture."""
    mirrored: bool = False
    """True if the stored picture was mirrored left to right before the rotation."""
    duration_seconds: float | None
    fps: float | None
    bit_depth: int


class Model(Schema):
    """Model that analyzed the clip."""

    name: str
    version: str
    trained: bool
    weights_sha256: str | None
    calibrated: bool


class Timings(Schema):
    """Durations of the attempt."""

    extract_seconds: float
    score_seconds: float


class Finding(Schema):
    """Finding of the detector, with verdicts by the model's own thresholds."""

    verdict: Verdict
    probability: float | None
    """P(fake) of the deciding track; null if nothing was evaluated."""
    decided_by: str | None
    """Track that decided the verdict."""
    reasons: list[Reason]
    warnings: list[ClipWarning]
    coverage: Coverage
    tracks: list[Track]
    clip: ClipInfo
    model: Model
    timings: Timings


class Result(Finding):
    """Result of a job: the finding, with verdicts and an action by a policy."""

    model_config = example(RESULT_EXAMPLE)

    recommended_action: RecommendedAction
    policy: AppliedPolicy


class FramePage(Schema):
    """Page of frames, in the order of the clip."""

    model_config = example({"items": [FRAME_EXAMPLE], "next_cursor": None})

    items: list[Frame]
    next_cursor: str | None
