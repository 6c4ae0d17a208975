"""Metrics of a detector: those of scikit-learn, with intervals over people.

Intervals are percentiles of a bootstrap (Efron, 1979) that draws whole groups, because frames of one person are not
independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import auc, average_precision_score, roc_curve

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

CALIBRATION_BINS = 10
_FPRS = {"tpr_at_fpr_1": 0.01, "tpr_at_fpr_5": 0.05}


@dataclass(frozen=True, slots=True, eq=False)
class LabelledScores:
    """Probabilities (N,) with their labels (N,) and groups (N,)."""

    labels: Labels
    probabilities: Floats
    groups: npt.NDArray[np.str_]

    def __post_init__(self) -> None:
        if not len(self.labels) == len(self.probabilities) == len(self.groups):
            raise ValueError("labels, probabilities and groups differ in length")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric and its 95 % interval; None if it needs both classes and there is one."""

    value: float | None
    low: float | None = None
    high: float | None = None


def compute_metrics(
    scores: LabelledScores, *, threshold: float, resamples: int = 500, seed: int = 0
) -> dict[str, Estimate]:
    """Return all metrics of a data set, each with its interval.

    Args:
        scores: Probabilities and labels of the data set.
        threshold: A probability at or above it counts as fake.
        resamples: Number of bootstrap samples; 0 leaves the intervals out.
        seed: Seed of the bootstrap.
    """
    values = _compute(scores, np.ones(len(scores.labels)), threshold)
    rng = np.random.default_rng(seed)
    names, members = np.unique(scores.groups, return_inverse=True)
    samples = []
    for _ in range(resamples):
        counts = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        samples.append(_compute(scores, counts[members].astype(np.float64), threshold))
    return {name: _estimate(value, [sample[name] for sample in samples]) for name, value in values.items()}


def calibration_error(scores: LabelledScores, weights: Floats) -> float:
    """Return the expected calibration error over ten equal bins (Naeini, Cooper and Hauskrecht, AAAI 2015)."""
    bins = np.minimum((scores.probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights * (scores.probabilities - scores.labels), CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def _compute(scores: LabelledScores, weights: Floats, threshold: float) -> dict[str, float | None]:
    metrics = _compute_at_threshold(scores, weights, threshold) | {"ece": calibration_error(scores, weights)}
    chosen = weights > 0
    labels, probabilities, weights = scores.labels[chosen], scores.probabilities[chosen], weights[chosen]
    if labels.min() == labels.max():
        return dict.fromkeys(["auc", "ap", "eer", *_FPRS]) | metrics
    false_rate, true_rate, _ = roc_curve(labels, probabilities, sample_weight=weights)
    ranked: dict[str, float | None] = {
        "auc": float(auc(false_rate, true_rate)),
        "ap": float(average_precision_score(labels, probabilities, sample_weight=weights)),
        "eer": _equal_error_rate(false_rate, true_rate),
    }
    at_fpr = {name: float(true_rate[false_rate <= rate].max()) for name, rate in _FPRS.items()}
    return ranked | at_fpr | metrics


def _equal_error_rate(false_rate: Floats, true_rate: Floats) -> float:
    """Return the rate at which misses equal false alarms, interpolated between the points of the ROC curve."""
    gap = 1 - true_rate - false_rate  # falls from 1 to -1
    after = int(np.argmax(gap <= 0))
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(false_rate[after - 1] + share * (false_rate[after] - false_rate[after - 1]))


def _compute_at_threshold(scores: LabelledScores, weights: Floats, threshold: float) -> dict[str, float | None]:
    predicted_fake, is_fake = scores.probabilities >= threshold, scores.labels == 1
    hits, alarms = (float(weights[predicted_fake & kind].sum()) for kind in (is_fake, ~is_fake))
    fakes, total = float(weights[is_fake].sum()), float(weights.sum())
    rejections = total - fakes - alarms
    return {
        "accuracy": (hits + rejections) / total,
        "precision": hits / (hits + alarms) if hits + alarms else None,
        "recall": hits / fakes if fakes else None,
        "fpr": alarms / (total - fakes) if total > fakes else None,
        "f1": 2 * hits / (hits + alarms + fakes) if fakes else None,
    }


def _estimate(value: float | None, samples: Sequence[float | None]) -> Estimate:
    known = [sample for sample in samples if sample is not None]
    if value is None or not known:
        return Estimate(value)
    return Estimate(value, float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975)))
