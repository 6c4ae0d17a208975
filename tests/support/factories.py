"""Make valid schema objects for tests."""

from typing import Any

from app.core.enums import Verdict
from app.schemas import results as schemas
from app.schemas.policies import Calibration
from app.services import verdicts
from app.services.attempts import AttemptResult

STRICT_POLICY = {"name": "strict", "suspicious_false_positive_rate": 0.01, "manipulated_false_positive_rate": 0.01}
LOOSE_POLICY = {"name": "loose", "suspicious_false_positive_rate": 0.5, "manipulated_false_positive_rate": 0.05}


def make_frame(**changes: Any) -> schemas.Frame:
    """Make a frame. ``changes`` override its fields."""
    values: dict[str, Any] = {
        "track_id": "t0",
        "window": 0,
        "pts_seconds": 0.0,
        "box": {"x": 1, "y": 2, "width": 3, "height": 4},
        "detection_confidence": 0.9,
        "sharpness": 0.1,
        "brightness": 120.0,
        "unusable": None,
        "logit": -1.0,
        "probability": 0.27,
    }
    return schemas.Frame.model_validate(values | changes)


def make_calibration(**changes: Any) -> Calibration:
    """Make a calibration: half of the authentic clips reach 0.2, one in a hundred 0.9."""
    points = [(0.9, 0.01, 0.4), (0.6, 0.05, 0.6), (0.2, 0.5, 0.9)]
    values: dict[str, Any] = {
        "model": "m",
        "version": "1",
        "calibrated": True,
        "real_clips": 100,
        "suspicious_at": 0.6,
        "suspicious_false_positive_rate": 0.05,
        "manipulated_at": 0.9,
        "manipulated_false_positive_rate": 0.01,
        "operating_points": [
            {"threshold": threshold, "false_positive_rate": false_alarms, "true_positive_rate": detections}
            for threshold, false_alarms, detections in points
        ],
    }
    return Calibration.model_validate(values | changes)


def make_attempt_result(
    *, frames: int = 0, probability: float | None = 0.27, detector_sha256: str = "0" * 64
) -> AttemptResult:
    """Make the result that a worker stores: one track with this probability."""
    result = make_result(probability=probability)
    (track,) = result.tracks
    finding = schemas.Finding.model_validate(
        result.model_dump(exclude={"recommended_action", "policy"})
        | {"tracks": [track.model_dump() | {"probability": probability}]}
    )
    return AttemptResult(
        payload=finding.model_dump(mode="json"),
        frames=[make_frame(pts_seconds=index / 25).model_dump(mode="json") for index in range(frames)],
        detector_sha256=detector_sha256,
        calibration=make_calibration(),
    )


def make_result(**changes: Any) -> schemas.Result:
    """Make a result. ``changes`` override its fields."""
    track = {
        "track_id": "t0",
        "verdict": Verdict.AUTHENTIC,
        "probability": 0.27,
        "logit": -1.0,
        "reasons": [],
        "first_seconds": 0.0,
        "last_seconds": 3.0,
        "face_frames": 16,
        "usable_frames": 16,
        "median_face_px": 200.0,
    }
    values: dict[str, Any] = {
        "verdict": Verdict.AUTHENTIC,
        "probability": 0.27,
        "decided_by": "t0",
        "reasons": [],
        "warnings": [],
        "coverage": {"frames_sampled": 16, "frames_with_face": 16, "faces_max": 1, "tracks": 1},
        "tracks": [track],
        "clip": {
            "container": "mp4",
            "codec": "h264",
            "width": 640,
            "height": 480,
            "rotation_degrees": 0,
            "duration_seconds": 4.0,
            "fps": 25.0,
            "bit_depth": 8,
        },
        "model": {"name": "m", "version": "1", "trained": True, "weights_sha256": "0" * 64, "calibrated": True},
        "timings": {"extract_seconds": 0.5, "score_seconds": 0.2},
        "recommended_action": "allow",
        "policy": verdicts.apply_policy(None, make_calibration()),
    }
    return schemas.Result.model_validate(values | changes)
