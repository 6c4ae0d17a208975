"""Schemas of calibrations."""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from app.core.calibration import OperatingCurve, TargetRates, Thresholds
from app.core.enums import CalibrationSource
from app.schemas.base import EXAMPLE_JOB_ID, EXAMPLE_SHA256, EXAMPLE_TIME, Schema, example

CLIPS_MAX = 10_000
"""Maximum number of clips of a calibration. More add nothing that its intervals show."""
_RATE_EXAMPLE = {"value": 0.048, "low": 0.0158, "high": 0.1086, "clips": 104}
THRESHOLDS_EXAMPLE: dict[str, Any] = {
    "clear_at": 0.31,
    "clear_miss_rate": 0.1,
    "suspicious_at": 0.84,
    "suspicious_false_positive_rate": 0.05,
    "manipulated_at": 0.91,
    "manipulated_false_positive_rate": 0.029,
}
_CALIBRATION_EXAMPLE: dict[str, Any] = {
    "id": None,
    "object": "calibration",
    "sha256": EXAMPLE_SHA256,
    "source": "model",
    "active": True,
    "created_at": EXAMPLE_TIME,
    "model": "unmask-b3",
    "version": "0.3.0",
    "lowest_false_positive_rate": 0.029,
    "thresholds": THRESHOLDS_EXAMPLE,
    "rates": {
        "suspicious_false_positive_rate": 0.05,
        "manipulated_false_positive_rate": 0.01,
        "clear_miss_rate": 0.1,
    },
    "curve": {
        "real_clips": 104,
        "fake_clips": 40,
        "points": [
            {
                "threshold": 0.84,
                "false_positive_rate": _RATE_EXAMPLE,
                "true_positive_rate": {"value": 0.45, "low": 0.2926, "high": 0.6151, "clips": 40},
            }
        ],
    },
}


class Calibration(Schema):
    """Rates of a model that policies may ask for, and their thresholds."""

    model: str
    version: str
    lowest_false_positive_rate: float | None
    """Lowest rate that a policy may ask for: three by the number of real clips. Null if the model is not calibrated."""
    thresholds: Thresholds
    """Thresholds without a policy, for a clip with one person."""
    rates: TargetRates
    """Rates that they are set for."""
    curve: OperatingCurve

    @classmethod
    def make(cls, model: str, version: str, rates: TargetRates, curve: OperatingCurve) -> Self:
        """Make a calibration from its operating points."""
        return cls(
            model=model,
            version=version,
            lowest_false_positive_rate=curve.lowest_rate,
            thresholds=curve.make_thresholds(rates),
            rates=rates,
            curve=curve,
        )

    def compute_sha256(self) -> str:
        """Return the identifier of the calibration."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class StoredCalibration(Calibration):
    """Calibration of a model, or of a tenant on its own clips."""

    model_config = example(_CALIBRATION_EXAMPLE)

    id: str | None
    """Null for the calibration of a model."""
    object: Literal["calibration"] = "calibration"
    sha256: str
    """Identifier that results name as `calibration_sha256`."""
    source: CalibrationSource
    active: bool
    """True if results of the model get their verdicts by this calibration."""
    created_at: datetime


class CalibrationList(Schema):
    """Own calibrations, then those of all models that have run; newest first."""

    model_config = example({"items": [_CALIBRATION_EXAMPLE]})

    items: list[StoredCalibration]


class CalibrationRequest(Schema):
    """New calibration from stored results. Give one of the three sources."""

    model_config = example({"job_ids": [EXAMPLE_JOB_ID]})

    job_ids: Annotated[list[str], Field(min_length=1, max_length=CLIPS_MAX)] | None = None
    """Jobs of clips that you know to be real."""
    batch_id: str | None = None
    """Batch of clips that you know to be real."""
    feedback: Literal[True] | None = None
    """All jobs with feedback: clips that were labelled `real`, and `fake`."""
    rates: TargetRates = TargetRates()
    """Rates of the thresholds without a policy."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum(source is not None for source in (self.job_ids, self.batch_id, self.feedback)) != 1:
            raise ValueError("give one of job_ids, batch_id and feedback")
        return self
