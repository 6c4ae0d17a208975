"""Figures against cases whose answer is known, and intervals that know who belongs together."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from training.calibrate import CalibrationError, Targets, calibrate, choose_correction
from training.judge import Item
from training.metrics import Judged, measure
from worker.detector.config import ScoringConfig
from worker.detector.scoring import to_probability


def judged(labels: list[int], probabilities: list[float], groups: list[str] | None = None) -> Judged:
    names = groups or [str(index) for index in range(len(labels))]
    return Judged(np.array(labels), np.array(probabilities), np.array(names))


def test_a_perfect_detector_has_perfect_figures() -> None:
    figures = measure(judged([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]), threshold=0.5)
    values = {name: figure.value for name, figure in figures.items()}
    assert values == {
        "auc": 1, "ap": 1, "eer": 0, "tpr_at_fpr_1": 1, "tpr_at_fpr_5": 1,
        "accuracy": 1, "precision": 1, "recall": 1, "fpr": 0, "f1": 1, "ece": 0,
    }  # fmt: skip


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    probabilities = np.clip(0.3 * labels + rng.random(300) * 0.7, 0, 1)
    figures = measure(judged(labels.tolist(), probabilities.tolist()), threshold=0.5, resamples=0)
    assert figures["auc"].value == pytest.approx(roc_auc_score(labels, probabilities))
    assert figures["f1"].value == pytest.approx(f1_score(labels, probabilities >= 0.5))
    assert figures["auc"].low is None


def test_one_class_leaves_null_where_two_are_needed() -> None:
    figures = measure(judged([0, 0, 0], [0.1, 0.6, 0.2]), threshold=0.5)
    assert figures["auc"].value is None
    assert figures["eer"].value is None
    assert figures["accuracy"].value == pytest.approx(2 / 3)


def test_overconfidence_shows_in_the_calibration_error() -> None:
    figures = measure(judged([0, 1] * 50, [0.95] * 100), threshold=0.5, resamples=0)
    assert figures["ece"].value == pytest.approx(0.45)


def test_the_interval_is_wider_where_items_are_the_same_people() -> None:
    rng = np.random.default_rng(1)
    labels = [0, 1] * 40
    probabilities = np.clip(np.array(labels) * 0.3 + rng.random(80) * 0.7, 0, 1)
    alone = judged(labels * 10, np.tile(probabilities, 10).tolist())
    together = judged(labels * 10, np.tile(probabilities, 10).tolist(), [str(index % 80) for index in range(800)])
    narrow, wide = (measure(items, threshold=0.5)["auc"] for items in (alone, together))
    assert narrow.low is not None
    assert wide.low is not None
    assert wide.low < narrow.low


def test_the_false_positive_rate_has_an_interval_over_people() -> None:
    groups = [str(index // 4) for index in range(40)]
    rate = measure(judged([0] * 40, [0.9] * 4 + [0.1] * 36, groups), threshold=0.5)["fpr"]
    assert rate.value == pytest.approx(0.1)
    assert rate.low == 0
    assert rate.high is not None
    assert rate.high >= 0.3


def items(logits: np.ndarray, labels: np.ndarray, *, is_sequence: bool = True) -> list[Item]:
    return [
        Item(path=str(index), label=int(label), dataset="d", group=str(index), is_sequence=is_sequence,
             logit=float(logit), mean_logit=float(logit))
        for index, (logit, label) in enumerate(zip(logits, labels, strict=True))
    ]  # fmt: skip


def test_calibration_mends_overconfidence_and_meets_its_rates() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 4000)
    logits = 5 * (rng.normal(size=4000) + 1.2 * (2 * labels - 1)) + 3  # five times too sure, and shifted
    scoring = calibrate(items(logits, labels), ScoringConfig(correction_weight=0.5), Targets(0.1, 0.02))
    probabilities = [to_probability(float(logit), scoring) for logit in logits]
    ece = measure(judged(labels.tolist(), probabilities), threshold=0.5, resamples=0)["ece"].value
    assert ece is not None
    assert ece < 0.03
    reals = np.array(probabilities)[labels == 0]
    assert (reals >= scoring.suspicious_at).mean() == pytest.approx(0.1, abs=0.002)
    assert (reals >= scoring.manipulated_at).mean() == pytest.approx(0.02, abs=0.002)
    assert (scoring.calibrated, scoring.correction_weight) == (True, 0.5)
    assert scoring.suspicious_at < scoring.manipulated_at


def test_calibration_needs_both_labels_and_a_model_that_points_the_right_way() -> None:
    with pytest.raises(CalibrationError, match="real and fake"):
        calibrate(items(np.zeros(4), np.zeros(4)), ScoringConfig(), Targets())
    with pytest.raises(CalibrationError, match="higher logits"):
        calibrate(items(np.array([2.0, 1.0, -1.0, -2.0] * 9), np.array([0, 0, 1, 1] * 9)), ScoringConfig(), Targets())
    with pytest.raises(CalibrationError, match="rates"):
        Targets(suspicious=0.01, manipulated=0.05)


def test_thresholds_come_from_sequences_where_there_are_enough() -> None:
    rng = np.random.default_rng(3)
    sequences = items(np.concatenate([rng.normal(-2, 0.5, 60), rng.normal(2, 0.5, 60)]), np.repeat([0, 1], 60))
    frames = items(
        np.concatenate([rng.normal(0, 2, 400), rng.normal(1, 2, 400)]), np.repeat([0, 1], 400), is_sequence=False
    )
    scoring = calibrate([*sequences, *frames], ScoringConfig(), Targets(0.05, 0.01))
    above = [to_probability(item.logit or 0, scoring) >= scoring.suspicious_at for item in sequences[:60]]
    assert sum(above) == 3
    all_reals = [item for item in (*sequences, *frames) if item.label == 0]
    at_manipulated = [to_probability(item.logit or 0, scoring) >= scoring.manipulated_at for item in all_reals]
    assert sum(at_manipulated) == int(0.01 * 460)


@pytest.mark.parametrize(("noise", "weight"), [(0.1, 1.0), (9.0, 0.0)])
def test_the_transformer_has_a_say_only_where_it_helps(noise: float, weight: float) -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 100)
    means = items(rng.normal(0, 1, 200) + labels, labels)
    truth = 3 * labels - 1.5 + rng.normal(0, noise, 200)
    corrected = [
        replace(item, logit=(item.mean_logit or 0) + float(shift)) for item, shift in zip(means, truth, strict=True)
    ]
    assert choose_correction(corrected) == weight
