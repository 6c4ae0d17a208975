"""Schemas of results: clip, tracks, frames, reasons."""

from collections.abc import Sequence
from typing import Any

from app.core.calibration import RateEstimate, Thresholds
from app.core.enums import ReasonCode, RecommendedAction, Verdict
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_SHA256, Schema, WarningDetail, example
from app.schemas.calibrations import THRESHOLDS_EXAMPLE

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
    "contribution": 0.099,
}
RESULT_EXAMPLE: dict[str, Any] = {
    "verdict": "SUSPICIOUS",
    "evidence": "some evidence of manipulation",
    "probability": 0.87,
    "thresholds": THRESHOLDS_EXAMPLE,
    "margin": 0.24,
    "false_positive_rate": {"value": 0.039, "low": 0.0106, "high": 0.0956, "clips": 104},
    "decided_by": "t0",
    "recommended_action": "review",
    "reasons": [],
    "warnings": [],
    "coverage": {
        "frames_sampled": 16,
        "frames_with_face": 16,
        "faces_max": 1,
        "tracks": 1,
        "windows": 2,
        "start_seconds": 0.0,
        "end_seconds": 10.0,
        "seconds_sampled": 0.53,
        "chance_of_5_seconds": 1.0,
    },
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
            "windows": [
                {"window": 0, "start_seconds": 0.0, "end_seconds": 0.23, "usable_frames": 8, "probability": 0.86},
                {"window": 1, "start_seconds": 9.57, "end_seconds": 9.8, "usable_frames": 8, "probability": 0.88},
            ],
        }
    ],
    "segments": [
        {
            "track_id": "t0",
            "start_seconds": 0.0,
            "end_seconds": 9.8,
            "duration_seconds": 9.8,
            "probability": 0.87,
            "verdict": "SUSPICIOUS",
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
        "version": "0.3.0",
        "trained": True,
        "weights_sha256": EXAMPLE_SHA256,
        "calibrated": True,
    },
    "timings": {"extract_seconds": 0.51, "score_seconds": 0.14},
    "policy": {
        "id": example_id(IdPrefix.POLICY),
        "name": "default",
        "version": 3,
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
    thresholds hold for both."""
    contribution: float | None
    """Part of the log-odds of the track: those of its frames add up to it."""


class Reason(Schema):
    """Reason why a clip or a track was not evaluated."""

    code: ReasonCode
    detail: str


class Window(Schema):
    """One person in one window of neighbouring frames."""

    window: int
    start_seconds: float
    end_seconds: float
    usable_frames: int
    probability: float


class TrackFinding(Schema):
    """The faces of one person over time."""

    track_id: str
    probability: float | None
    logit: float | None
    reasons: list[Reason]
    first_seconds: float
    last_seconds: float
    face_frames: int
    usable_frames: int
    median_face_px: float
    windows: list[Window]
    """Windows with usable frames; empty if the track was not evaluated."""


class Track(TrackFinding):
    """The faces of one person over time, with a verdict by a policy."""

    verdict: Verdict


class Segment(Schema):
    """Neighbouring windows of one person with the same verdict."""

    track_id: str
    start_seconds: float
    end_seconds: float
    duration_seconds: float
    probability: float
    verdict: Verdict


class Coverage(Schema):
    """Part of the clip that was analyzed."""

    frames_sampled: int
    frames_with_face: int
    faces_max: int
    """Maximum number of faces in one frame."""
    tracks: int
    windows: int
    """Number of windows of neighbouring frames."""
    start_seconds: float
    end_seconds: float | None
    """Part of the clip that the windows are spread over; null if the duration is unknown."""
    seconds_sampled: float
    """Duration of the windows."""
    chance_of_5_seconds: float | None
    """Probability that a window meets a part of five seconds at a random time; null if the duration is unknown."""


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
    """Finding of the detector. A policy turns it into a result."""

    probability: float | None
    """P(fake) of the deciding track; null if nothing was evaluated."""
    decided_by: str | None
    """Track with the highest probability, which decides the verdict."""
    reasons: list[Reason]
    warnings: list[WarningDetail]
    coverage: Coverage
    tracks: Sequence[TrackFinding]
    clip: ClipInfo
    model: Model
    timings: Timings


class AppliedPolicy(Schema):
    """Policy that decided the verdict."""

    id: str | None
    name: str
    version: int
    """0 if the model's own rates apply."""
    calibration_sha256: str
    """Identifier of the calibration that the thresholds come from."""


class Result(Finding):
    """Result of a job: the finding, with a verdict and an action by a policy."""

    model_config = example(RESULT_EXAMPLE)

    verdict: Verdict
    evidence: str
    """The verdict as a sentence for the person who decides."""
    thresholds: Thresholds
    """Thresholds that the verdict follows from. For several tracks those of SUSPICIOUS and MANIPULATED are higher."""
    margin: float | None
    """Log-odds of the probability above those of `suspicious_at`; negative below it."""
    false_positive_rate: RateEstimate | None
    """Rate at which a real clip with as many tracks scores at least this, by the calibration; null if the
    model is not calibrated."""
    tracks: list[Track]
    segments: list[Segment]
    """By track and time."""
    recommended_action: RecommendedAction
    policy: AppliedPolicy


class FramePage(Schema):
    """Page of frames, in the order of the clip."""

    model_config = example({"items": [FRAME_EXAMPLE], "next_cursor": None})

    items: list[Frame]
    next_cursor: str | None
