"""Temperature, bias and thresholds, on people that neither training, stopping nor reporting saw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit
from sklearn.metrics import roc_auc_score

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


def choose_correction(items: Sequence[Item]) -> float:
    """1 where sequences are told apart better with the Transformer than by the mean of their frame logits, else 0."""
    clips = [item for item in items if item.is_sequence and item.logit is not None and item.mean_logit is not None]
    labels = [item.label for item in clips]
    if len(set(labels)) < 2:
        return 1.0
    with_it, without = (roc_auc_score(labels, logits) for logits in zip(*_logits(clips), strict=True))
    return 1.0 if with_it >= without else 0.0


def calibrate(items: Sequence[Item], scoring: ScoringConfig, targets: Targets) -> ScoringConfig:
    """Fits temperature and bias (Platt, 1999) by maximum likelihood, then the thresholds on the real items.

    Thresholds come from sequences, which is what the service judges, where a quantile of so few can be told at all: at
    least one by the rate. Else single frames, whose logits scatter more, take part.

    Args:
        items: Of the calibration part, judged with the whole of the Transformer's correction.
        scoring: As it is; what is not fitted is kept.
        targets: The false-positive rates.

    Raises:
        CalibrationError: There are no reals or no fakes, or higher logits do not mean fake.
    """
    judged = [item for item in items if item.logit is not None and item.mean_logit is not None]
    labels = np.array([item.label for item in judged])
    if not 0 < labels.sum() < len(labels):
        raise CalibrationError("The calibration part of 'val' needs real and fake items.")
    whole, mean = np.array(_logits(judged)).T
    logits = mean + scoring.correction_weight * (whole - mean)

    def loss(parameters: np.ndarray) -> float:
        slope, bias = parameters
        signed = (slope * logits + bias) * (2 * labels - 1)
        return float(-log_expit(signed).mean())

    slope, bias = minimize(loss, x0=np.array([1.0, 0.0]), method="Nelder-Mead").x
    if slope <= 0:
        raise CalibrationError("Fakes do not get higher logits than reals: this model cannot be calibrated.")
    fitted = scoring.model_copy(update={"temperature": float(1 / slope), "bias": float(bias)})
    probabilities = np.array([to_probability(float(logit), fitted) for logit in logits])
    are_real, are_sequences = labels == 0, np.array([item.is_sequence for item in judged])

    def threshold(rate: float) -> float:
        sequences = probabilities[are_real & are_sequences]
        return _threshold(np.sort(sequences if len(sequences) * rate >= 1 else probabilities[are_real]), rate)

    suspicious_at = threshold(targets.suspicious)
    return ScoringConfig.model_validate(
        fitted.model_dump()
        | {
            "suspicious_at": suspicious_at,
            "suspicious_false_positive_rate": targets.suspicious,
            "manipulated_at": max(threshold(targets.manipulated), suspicious_at),
            "manipulated_false_positive_rate": targets.manipulated,
            "calibrated": True,
        }
    )


def _logits(items: Sequence[Item]) -> list[tuple[float, float]]:
    return [(item.logit or 0.0, item.mean_logit or 0.0) for item in items]


def _threshold(reals: np.ndarray, rate: float) -> float:
    """Just above the quantile: at most this share of the reals is at or above it."""
    allowed = int(rate * len(reals))
    return float(np.nextafter(reals[len(reals) - 1 - allowed], 1.0))
