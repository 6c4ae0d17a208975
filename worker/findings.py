"""Conversion of the detector's types into the schemas of the API."""

import hashlib
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from app.schemas import results as schemas
from app.schemas.calibrations import Calibration
from app.services.attempts import AttemptResult
from worker.detector.model.manifest import Manifest
from worker.detector.pipeline import Analysis

_CODE_PACKAGES = ("unmask", "av", "mediapipe")


def hash_detector(manifest: Manifest) -> str:
    """Return a SHA-256 over everything besides the clip that a result depends on: the model and the code versions."""
    parts = [manifest.sha256, *(f"{name} {version(name)}" for name in _CODE_PACKAGES)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def to_attempt_result(analysis: Analysis, detector_sha256: str) -> AttemptResult:
    """Convert an analysis into the form that is stored."""
    finding, frames = to_finding(analysis)
    return AttemptResult(
        payload=finding.model_dump(mode="json"),
        frames=[frame.model_dump(mode="json") for frame in frames],
        detector_sha256=detector_sha256,
        calibration=to_calibration(analysis.manifest),
    )


def to_calibration(manifest: Manifest) -> Calibration:
    """Convert the calibration of a model into its schema."""
    calibration = manifest.detector.scoring.clips
    return Calibration.make(manifest.name, manifest.version, calibration.rates, calibration.curve)


def to_finding(analysis: Analysis) -> tuple[schemas.Finding, list[schemas.Frame]]:
    """Convert an analysis into a finding and its frames. The fields have the same names."""
    score, extraction = analysis.score, analysis.extraction
    clip: dict[str, Any] = asdict(extraction.clip)
    clip.pop("high_dynamic_range")  # reported as a warning
    manifest = analysis.manifest
    finding = schemas.Finding.model_validate(
        {
            "probability": score.probability,
            "decided_by": score.decided_by,
            "reasons": [asdict(reason) for reason in score.reasons],
            "warnings": [asdict(warning) for warning in extraction.warnings],
            "coverage": asdict(extraction.coverage),
            "tracks": [asdict(track) for track in score.tracks],
            "clip": clip,
            "model": {
                "name": manifest.name,
                "version": manifest.version,
                "trained": manifest.trained,
                "weights_sha256": manifest.weights_sha256,
                "calibrated": manifest.calibrated,
            },
            "timings": {
                "extract_seconds": analysis.extract_seconds,
                "score_seconds": analysis.score_seconds,
            },
        }
    )
    return finding, [schemas.Frame.model_validate(asdict(frame)) for frame in score.frames]
