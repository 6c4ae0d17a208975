"""Temperature, bias and thresholds, on people that neither training, stopping nor reporting saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit

from training.errors import TrainingError
from training.judge import Item
from worker.detector.config import ScoringConfig
from worker.detector.scoring import to_probability

SUSPICIOUS_FPR, MANIPULATED_FPR = 0.05, 0.01
"""False-positive rates that thresholds are set for, unless others are asked for."""


class CalibrationError(TrainingError):
    """There is too little to calibrate on; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The share of real faces that may be called suspicious, and manipulated."""

    suspicious: float = SUSPICIOUS_FPR
    manipulated: float = MANIPULATED_FPR

    def __post_init__(self) -> None:
        if not 0 < self.manipulated <= self.suspicious < 1:
            raise CalibrationError(
                f"The rates must be 0 < manipulated <= suspicious < 1, not {self.manipulated} and {self.suspicious}."
            )


def calibrate(items: Sequence[Item], scoring: ScoringConfig, targets: Targets) -> ScoringConfig:
    """Fits temperature and bias (Platt, 1999) by maximum likelihood, then the thresholds on the real items.

    Args:
        items: Judged, of the calibration part.
        scoring: As it is; what is not fitted is kept.
        targets: The false-positive rates.

    Raises:
        CalibrationError: There are no reals or no fakes, or higher logits do not mean fake.
    """
    judged = [(item.logit, item.label) for item in items if item.logit is not None]
    logits, labels = np.array([logit for logit, _ in judged]), np.array([label for _, label in judged])
    if not 0 < labels.sum() < len(labels):
        raise CalibrationError("The calibration part of 'val' needs real and fake items.")

    def loss(parameters: np.ndarray) -> float:
        slope, bias = parameters
        signed = (slope * logits + bias) * (2 * labels - 1)
        return float(-log_expit(signed).mean())

    slope, bias = minimize(loss, x0=np.array([1.0, 0.0]), method="Nelder-Mead").x
    if slope <= 0:
        raise CalibrationError("Fakes do not get higher logits than reals: this model cannot be calibrated.")
    fitted = scoring.model_copy(update={"temperature": float(1 / slope), "bias": float(bias)})
    reals = np.sort([to_probability(float(logit), fitted) for logit in logits[labels == 0]])
    return ScoringConfig.model_validate(
        fitted.model_dump()
        | {
            "suspicious_at": _threshold(reals, targets.suspicious),
            "suspicious_false_positive_rate": targets.suspicious,
            "manipulated_at": _threshold(reals, targets.manipulated),
            "manipulated_false_positive_rate": targets.manipulated,
            "calibrated": True,
        }
    )


def _threshold(reals: np.ndarray, rate: float) -> float:
    """Just above the quantile: at most this share of the reals is at or above it."""
    allowed = int(rate * len(reals))
    return float(np.nextafter(reals[len(reals) - 1 - allowed], 1.0))
