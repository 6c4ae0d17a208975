"""Temperature, bias and thresholds, on people that neither training, early_stopping nor reporting saw."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit
from sklearn.metrics import roc_auc_score

from training.errors import TrainingError
from training.evaluation.predict import Prediction
from worker.detector.config import OperatingPoint, ScoringConfig
from worker.detector.scoring import to_frame_probability, to_probability

SUSPICIOUS_FPR, MANIPULATED_FPR = 0.05, 0.01
"""False-positive rates that thresholds are set for, unless others are asked for."""
POLICY_RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
"""False-positive rates that a policy of the service may ask for; in between, the stricter one is taken."""


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


def compare_correction(predictions: Sequence[Prediction]) -> tuple[float, float] | None:
    """AUC of the sequences with the Transformer, and by the mean of their frames; None where a label is missing."""
    clips = [
        prediction
        for prediction in predictions
        if prediction.is_sequence and prediction.logit is not None and prediction.mean_logit is not None
    ]
    labels = [prediction.label for prediction in clips]
    if len(set(labels)) < 2:
        return None
    with_it, without = ([prediction.logit for prediction in clips], [prediction.mean_logit for prediction in clips])
    return float(roc_auc_score(labels, with_it)), float(roc_auc_score(labels, without))


def calibrate(predictions: Sequence[Prediction], scoring: ScoringConfig, targets: Targets) -> ScoringConfig:
    """Fits what turns logits into probabilities, then the thresholds.

    Sequences and single frames get a temperature and a bias each (Platt, 1999, with his smoothed targets), fitted as if
    half of the predictions were fake, on data sets that have both; a data set of reals alone says only how high reals reach.
    The thresholds are such that reals keep to the rate on *each* data set that has at least one real by the rate, and
    on all together: the hardest of them decides.

    Args:
        predictions: Of the calibration part, scores with the correction of ``scoring``. Their sequences are what the service
            judges; where a label has none, every prediction counts as one.
        scoring: As it is; what is not fitted is kept.
        targets: The false-positive rates.

    Raises:
        CalibrationError: There are no reals or no fakes, or higher logits do not mean fake.
    """
    scores = [(prediction.logit, prediction) for prediction in predictions if prediction.logit is not None]
    sequences = [pair for pair in scores if pair[1].is_sequence]
    clips = sequences if {0, 1} <= {prediction.label for _, prediction in sequences} else scores
    frames = [
        (logit, prediction) for prediction in predictions for logit in prediction.frame_logits if logit is not None
    ]
    (temperature, bias), (frame_temperature, frame_bias) = _fit(clips), _fit(frames)
    fitted = scoring.model_copy(
        update={
            "temperature": temperature,
            "bias": bias,
            "frame_temperature": frame_temperature,
            "frame_bias": frame_bias,
        }
    )
    fake_clips = [to_probability(logit, fitted) for logit, prediction in clips if prediction.label == 1]
    real_clips, real_frames = _reals(clips, fitted, to_probability), _reals(frames, fitted, to_frame_probability)
    suspicious_at, frame_suspicious_at = (_threshold(reals, targets.suspicious) for reals in (real_clips, real_frames))
    return ScoringConfig.model_validate(
        fitted.model_dump()
        | {
            "suspicious_at": suspicious_at,
            "suspicious_false_positive_rate": targets.suspicious,
            "manipulated_at": max(_threshold(real_clips, targets.manipulated), suspicious_at),
            "manipulated_false_positive_rate": targets.manipulated,
            "frame_suspicious_at": frame_suspicious_at,
            "frame_manipulated_at": max(_threshold(real_frames, targets.manipulated), frame_suspicious_at),
            "operating_points": _operating_points(real_clips, fake_clips),
            "real_clips": sum(map(len, real_clips.values())),
            "calibrated": True,
        }
    )


def _reals(
    scores: Sequence[tuple[float, Prediction]],
    scoring: ScoringConfig,
    calibrated: Callable[[float, ScoringConfig], float],
) -> dict[str, list[float]]:
    """The probabilities of what is real, by data set."""
    reals: dict[str, list[float]] = defaultdict(list)
    for logit, prediction in scores:
        if prediction.label == 0:
            reals[prediction.dataset].append(calibrated(logit, scoring))
    return reals


def _fit(scores: Sequence[tuple[float, Prediction]]) -> tuple[float, float]:
    """Temperature and bias of logits and what they belong to."""
    logits = np.array([logit for logit, _ in scores])
    labels = np.array([prediction.label for _, prediction in scores], np.int64)
    names = np.array([prediction.dataset for _, prediction in scores], np.str_)
    both = np.intersect1d(names[labels == 0], names[labels == 1])
    if both.size:
        chosen = np.isin(names, both)
        logits, labels = logits[chosen], labels[chosen]
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        raise CalibrationError("The calibration part of 'val' needs real and fake predictions.")
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


def _operating_points(reals: dict[str, list[float]], fakes: Sequence[float]) -> list[OperatingPoint]:
    """By falling threshold: a rate is never easier to reach than a higher one, for which more data sets are large."""
    points: list[OperatingPoint] = []
    threshold = 0.0
    for rate in reversed(POLICY_RATES):
        threshold = max(threshold, _threshold(reals, rate))
        found = float(np.mean(np.array(fakes) >= threshold))
        points.insert(0, OperatingPoint(threshold=threshold, false_positive_rate=rate, true_positive_rate=found))
    return points


def _threshold(reals: dict[str, list[float]], rate: float) -> float:
    """Just above the quantiles: at most this share of the reals of each large data set, and of all, reaches it."""
    everything = [probability for probabilities in reals.values() for probability in probabilities]
    large = [probabilities for probabilities in reals.values() if len(probabilities) * rate >= 1]
    quantiles = [sorted(probabilities)[-1 - int(rate * len(probabilities))] for probabilities in (everything, *large)]
    return float(np.nextafter(max(quantiles), 1.0))
