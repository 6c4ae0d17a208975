"""Metrics with known values, and intervals over groups."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from training.evaluation.metrics import LabelledScores, compute_metrics


def make_scores(labels: list[int], probabilities: list[float], groups: list[str] | None = None) -> LabelledScores:
    names = groups or [str(index) for index in range(len(labels))]
    return LabelledScores(np.array(labels), np.array(probabilities), np.array(names))


def test_perfect_detector_has_perfect_metrics() -> None:
    metrics = compute_metrics(make_scores([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]), threshold=0.5)
    values = {name: metric.value for name, metric in metrics.items()}
    assert values == {
        "auc": 1, "ap": 1, "eer": 0, "tpr_at_fpr_1": 1, "tpr_at_fpr_5": 1,
        "accuracy": 1, "precision": 1, "recall": 1, "fpr": 0, "f1": 1, "ece": 0,
    }  # fmt: skip


def test_metrics_equal_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    probabilities = np.clip(0.3 * labels + rng.random(300) * 0.7, 0, 1)
    metrics = compute_metrics(make_scores(labels.tolist(), probabilities.tolist()), threshold=0.5, resamples=0)
    assert metrics["auc"].value == pytest.approx(roc_auc_score(labels, probabilities))
    assert metrics["f1"].value == pytest.approx(f1_score(labels, probabilities >= 0.5))
    assert metrics["auc"].low is None


def test_one_class_gives_none_for_metrics_of_two_classes() -> None:
    metrics = compute_metrics(make_scores([0, 0, 0], [0.1, 0.6, 0.2]), threshold=0.5)
    assert metrics["auc"].value is None
    assert metrics["eer"].value is None
    assert metrics["accuracy"].value == pytest.approx(2 / 3)


def test_overconfidence_raises_the_calibration_error() -> None:
    metrics = compute_metrics(make_scores([0, 1] * 50, [0.95] * 100), threshold=0.5, resamples=0)
    assert metrics["ece"].value == pytest.approx(0.45)


def test_interval_is_wider_if_scores_share_a_group() -> None:
    rng = np.random.default_rng(1)
    labels = [0, 1] * 40
    probabilities = np.clip(np.array(labels) * 0.3 + rng.random(80) * 0.7, 0, 1)
    alone = make_scores(labels * 10, np.tile(probabilities, 10).tolist())
    together = make_scores(labels * 10, np.tile(probabilities, 10).tolist(), [str(index % 80) for index in range(800)])
    narrow, wide = (compute_metrics(scores, threshold=0.5)["auc"] for scores in (alone, together))
    assert narrow.low is not None
    assert wide.low is not None
    assert wide.low < narrow.low


def test_false_positive_rate_has_an_interval_over_groups() -> None:
    groups = [str(index // 4) for index in range(40)]
    rate = compute_metrics(make_scores([0] * 40, [0.9] * 4 + [0.1] * 36, groups), threshold=0.5)["fpr"]
    assert rate.value == pytest.approx(0.1)
    assert rate.low == 0
    assert rate.high is not None
    assert rate.high >= 0.3
