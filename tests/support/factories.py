"""Make valid schema objects for tests."""

from collections.abc import Sequence
from typing import Any

from app.core.calibration import OperatingCurve, OperatingPoint, RateEstimate, TargetRates, exact_interval
from app.schemas import results as schemas
from app.schemas.calibrations import Calibration
from app.schemas.models import Model
from app.services import verdicts
from app.services.attempts import AttemptResult
from app.services.verdicts import ActiveCalibration

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
        "contribution": -1.0,
    }
    return schemas.Frame.model_validate(values | changes)


def make_curve(points: Sequence[tuple[float, float, float]], *, reals: int = 400, fakes: int = 40) -> OperatingCurve:
    """Make a curve from thresholds with the shares of reals and fakes that reach them, by falling threshold."""
    return OperatingCurve(
        real_clips=reals,
        fake_clips=fakes,
        points=tuple(
            OperatingPoint(
                threshold=threshold,
                false_positive_rate=_make_rate(false_positive_rate, reals),
                true_positive_rate=_make_rate(true_positive_rate, fakes),
            )
            for threshold, false_positive_rate, true_positive_rate in points
        ),
    )


def make_calibration(curve: OperatingCurve | None = None, *, model: str = "m", version: str = "1") -> Calibration:
    """Make a calibration: half of the 400 real clips reach 0.2, one in a hundred 0.9; nine in ten fakes reach 0.4."""
    if curve is None:
        curve = make_curve(
            [(0.95, 0, 0.3), (0.9, 0.01, 0.4), (0.6, 0.05, 0.6), (0.4, 0.2, 0.9), (0.2, 0.5, 0.95), (0, 1, 1)]
        )
    return Calibration.make(model, version, TargetRates(), curve)


def make_model(*, name: str = "m", default: bool = True) -> Model:
    """Make the description of a model with the calibration of ``make_calibration``."""
    calibration = make_calibration()
    return Model(
        name=name,
        version="1",
        trained=True,
        default=default,
        data_terms="Research use only.",
        real_clips=calibration.curve.real_clips,
        fake_clips=calibration.curve.fake_clips,
        lowest_false_positive_rate=calibration.lowest_false_positive_rate,
        thresholds=calibration.thresholds,
    )


def make_attempt_result(
    *,
    frames: int = 0,
    probability: float | None = 0.27,
    detector_sha256: str = "0" * 64,
    calibration: Calibration | None = None,
) -> AttemptResult:
    """Make the result that a worker stores: one track with this probability."""
    return AttemptResult(
        payload=make_finding(probability).model_dump(mode="json"),
        frames=[make_frame(pts_seconds=index / 25).model_dump(mode="json") for index in range(frames)],
        detector_sha256=detector_sha256,
        calibration=calibration or make_calibration(),
    )


def make_result(probability: float | None = 0.27) -> schemas.Result:
    """Make a result: a finding with the verdict by the rates of ``make_calibration``."""
    payload = make_finding(probability).model_dump(mode="json")
    return schemas.Result.model_validate(verdicts.decide(payload, ActiveCalibration(make_calibration()), None))


def make_finding(*probabilities: float | None) -> schemas.Finding:
    """Make a finding with one track per probability, each in two windows."""
    evaluated = [value for value in probabilities if value is not None]
    highest = max(evaluated, default=None)
    return schemas.Finding.model_validate(
        {
            "probability": highest,
            "decided_by": None if highest is None else f"t{probabilities.index(highest)}",
            "reasons": [],
            "warnings": [],
            "coverage": {
                "frames_sampled": 16,
                "frames_with_face": 16,
                "faces_max": 1,
                "tracks": len(probabilities),
                "windows": 2,
                "start_seconds": 0.0,
                "end_seconds": 4.0,
                "seconds_sampled": 0.64,
                "chance_of_5_seconds": 1.0,
            },
            "tracks": [_make_track(f"t{number}", value) for number, value in enumerate(probabilities)],
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
        }
    )


def _make_track(name: str, probability: float | None) -> dict[str, Any]:
    windows = [
        {"window": number, "start_seconds": start, "end_seconds": start + 0.28, "usable_frames": 8}
        for number, start in enumerate((0.0, 3.0))
    ]
    return {
        "track_id": name,
        "probability": probability,
        "logit": None if probability is None else -1.0,
        "reasons": [],
        "first_seconds": 0.0,
        "last_seconds": 3.28,
        "face_frames": 16,
        "usable_frames": 16,
        "median_face_px": 200.0,
        "windows": [] if probability is None else [window | {"probability": probability} for window in windows],
    }


def _make_rate(share: float, clips: int) -> RateEstimate:
    low, high = exact_interval(round(share * clips), clips)
    return RateEstimate(value=share, low=low, high=high, clips=clips)
