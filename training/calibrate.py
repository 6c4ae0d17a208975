"""Temperature, bias and thresholds, on people that neither training, stopping nor reporting saw."""

from collections import defaultdict
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
    """Fits what turns logits into probabilities, then the thresholds.

    Sequences and single frames get a temperature and a bias each (Platt, 1999, with his smoothed targets), fitted as if
    half of the items were fake, on data sets that have both; a data set of reals alone says only how high reals reach.
    The thresholds are such that reals keep to the rate on *each* data set that has at least one real by the rate, and
    on all together.

    Args:
        items: Of the calibration part, judged with the whole of the Transformer's correction. Their sequences are what
            the service judges; where a label has none, every item counts as one.
        scoring: As it is; what is not fitted is kept.
        targets: The false-positive rates.

    Raises:
        CalibrationError: There are no reals or no fakes, or higher logits do not mean fake.
    """
    judged = [item for item in items if item.logit is not None and item.mean_logit is not None]
    sequences = [item for item in judged if item.is_sequence]
    clips = sequences if {0, 1} <= {item.label for item in sequences} else judged
    whole, mean = np.array(_logits(clips)).reshape(-1, 2).T
    logits = mean + scoring.correction_weight * (whole - mean)
    temperature, bias = _fit(logits, clips)
    pairs = [(logit, item) for item in judged for logit in item.frame_logits if logit is not None]
    frame_temperature, frame_bias = _fit(np.array([logit for logit, _ in pairs]), [item for _, item in pairs])
    fitted = scoring.model_copy(
        update={
            "temperature": temperature,
            "bias": bias,
            "frame_temperature": frame_temperature,
            "frame_bias": frame_bias,
        }
    )
    reals: dict[str, list[float]] = defaultdict(list)
    for logit, item in zip(logits.tolist(), clips, strict=True):
        if item.label == 0:
            reals[item.dataset].append(to_probability(logit, fitted))
    suspicious_at = _threshold(reals, targets.suspicious)
    return ScoringConfig.model_validate(
        fitted.model_dump()
        | {
            "suspicious_at": suspicious_at,
            "suspicious_false_positive_rate": targets.suspicious,
            "manipulated_at": max(_threshold(reals, targets.manipulated), suspicious_at),
            "manipulated_false_positive_rate": targets.manipulated,
            "calibrated": True,
        }
    )


def _fit(logits: np.ndarray, items: Sequence[Item]) -> tuple[float, float]:
    """Temperature and bias of logits (N,) that belong to so many items."""
    labels = np.array([item.label for item in items], np.int64)
    names = np.array([item.dataset for item in items], np.str_)
    both = np.intersect1d(names[labels == 0], names[labels == 1])
    if both.size:
        chosen = np.isin(names, both)
        logits, labels = logits[chosen], labels[chosen]
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        raise CalibrationError("The calibration part of 'val' needs real and fake items.")
    targets = np.array([1 / (counts[0] + 2), (counts[1] + 1) / (counts[1] + 2)])[labels]
    weights = 1 / counts[labels]

    def loss(parameters: np.ndarray) -> float:
        slope, bias = parameters
        calibrated = slope * logits + bias
        return float(-weights @ (targets * log_expit(calibrated) + (1 - targets) * log_expit(-calibrated)))

    slope, bias = minimize(loss, x0=np.array([1.0, 0.0]), method="Nelder-Mead").x
    if slope <= 0:
        raise CalibrationError("Fakes do not get higher logits than reals: this model cannot be calibrated.")
    return float(1 / slope), float(bias)


def _logits(items: Sequence[Item]) -> list[tuple[float, float]]:
    return [(item.logit or 0.0, item.mean_logit or 0.0) for item in items]


def _threshold(reals: dict[str, list[float]], rate: float) -> float:
    """Just above the quantiles: at most this share of the reals of each large data set, and of all, reaches it."""
    everything = [probability for probabilities in reals.values() for probability in probabilities]
    large = [probabilities for probabilities in reals.values() if len(probabilities) * rate >= 1]
    quantiles = [sorted(probabilities)[-1 - int(rate * len(probabilities))] for probabilities in (everything, *large)]
    return float(np.nextafter(max(quantiles), 1.0))
