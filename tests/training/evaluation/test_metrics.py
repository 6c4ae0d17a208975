"""Figures against cases whose answer is known, and intervals that know who belongs together."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from app.core.enums import Verdict
from training.evaluation.calibrate import CalibrationError, Targets, calibrate, compare_correction
from training.evaluation.metrics import LabelledScores, measure
from training.evaluation.predict import Prediction
from worker.detector.config import ScoringConfig
from worker.detector.scoring import decide_frame_verdict, to_frame_probability, to_probability


def scores(labels: list[int], probabilities: list[float], groups: list[str] | None = None) -> LabelledScores:
    names = groups or [str(index) for index in range(len(labels))]
    return LabelledScores(np.array(labels), np.array(probabilities), np.array(names))


def test_a_perfect_detector_has_perfect_figures() -> None:
    figures = measure(scores([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]), threshold=0.5)
    values = {name: figure.value for name, figure in figures.items()}
    assert values == {
        "auc": 1, "ap": 1, "eer": 0, "tpr_at_fpr_1": 1, "tpr_at_fpr_5": 1,
        "accuracy": 1, "precision": 1, "recall": 1, "fpr": 0, "f1": 1, "ece": 0,
    }  # fmt: skip


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    probabilities = np.clip(0.3 * labels + rng.random(300) * 0.7, 0, 1)
    figures = measure(scores(labels.tolist(), probabilities.tolist()), threshold=0.5, resamples=0)
    assert figures["auc"].value == pytest.approx(roc_auc_score(labels, probabilities))
    assert figures["f1"].value == pytest.approx(f1_score(labels, probabilities >= 0.5))
    assert figures["auc"].low is None


def test_one_class_leaves_null_where_two_are_needed() -> None:
    figures = measure(scores([0, 0, 0], [0.1, 0.6, 0.2]), threshold=0.5)
    assert figures["auc"].value is None
    assert figures["eer"].value is None
    assert figures["accuracy"].value == pytest.approx(2 / 3)


def test_overconfidence_shows_in_the_calibration_error() -> None:
    figures = measure(scores([0, 1] * 50, [0.95] * 100), threshold=0.5, resamples=0)
    assert figures["ece"].value == pytest.approx(0.45)


def test_the_interval_is_wider_where_items_are_the_same_people() -> None:
    rng = np.random.default_rng(1)
    labels = [0, 1] * 40
    probabilities = np.clip(np.array(labels) * 0.3 + rng.random(80) * 0.7, 0, 1)
    alone = scores(labels * 10, np.tile(probabilities, 10).tolist())
    together = scores(labels * 10, np.tile(probabilities, 10).tolist(), [str(index % 80) for index in range(800)])
    narrow, wide = (measure(predictions, threshold=0.5)["auc"] for predictions in (alone, together))
    assert narrow.low is not None
    assert wide.low is not None
    assert wide.low < narrow.low


def test_the_false_positive_rate_has_an_interval_over_people() -> None:
    groups = [str(index // 4) for index in range(40)]
    rate = measure(scores([0] * 40, [0.9] * 4 + [0.1] * 36, groups), threshold=0.5)["fpr"]
    assert rate.value == pytest.approx(0.1)
    assert rate.low == 0
    assert rate.high is not None
    assert rate.high >= 0.3


def predictions(
    logits: np.ndarray, labels: np.ndarray, *, is_sequence: bool = True, dataset: str = "d"
) -> list[Prediction]:
    return [
        Prediction(path=str(index), label=int(label), dataset=dataset, group=str(index), is_sequence=is_sequence,
             frame_logits=(float(logit),), logit=float(logit), mean_logit=float(logit))
        for index, (logit, label) in enumerate(zip(logits, labels, strict=True))
    ]  # fmt: skip


def test_calibration_mends_overconfidence_and_meets_its_rates() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 4000)
    logits = 5 * (rng.normal(size=4000) + 1.2 * (2 * labels - 1)) + 3  # five times too sure, and shifted
    scoring = calibrate(predictions(logits, labels), ScoringConfig(correction_weight=0.5), Targets(0.1, 0.02))
    probabilities = [to_probability(float(logit), scoring) for logit in logits]
    ece = measure(scores(labels.tolist(), probabilities), threshold=0.5, resamples=0)["ece"].value
    assert ece is not None
    assert ece < 0.03
    reals = np.array(probabilities)[labels == 0]
    assert (reals >= scoring.suspicious_at).mean() == pytest.approx(0.1, abs=0.002)
    assert (reals >= scoring.manipulated_at).mean() == pytest.approx(0.02, abs=0.002)
    assert (scoring.calibrated, scoring.correction_weight) == (True, 0.5)
    assert scoring.suspicious_at < scoring.manipulated_at
    assert scoring.real_clips == len(reals)
    for point in scoring.operating_points:
        assert (reals >= point.threshold).mean() == pytest.approx(point.false_positive_rate, abs=0.002)
        found = (np.array(probabilities)[labels == 1] >= point.threshold).mean()
        assert found == pytest.approx(point.true_positive_rate)
    thresholds = [point.threshold for point in scoring.operating_points]
    assert thresholds == sorted(thresholds, reverse=True)


def test_calibration_needs_both_labels_and_a_model_that_points_the_right_way() -> None:
    with pytest.raises(CalibrationError, match="real and fake"):
        calibrate(predictions(np.zeros(4), np.zeros(4)), ScoringConfig(), Targets())
    with pytest.raises(CalibrationError, match="higher logits"):
        calibrate(
            predictions(np.array([2.0, 1.0, -1.0, -2.0] * 9), np.array([0, 0, 1, 1] * 9)), ScoringConfig(), Targets()
        )
    with pytest.raises(CalibrationError, match="rates"):
        Targets(suspicious=0.01, manipulated=0.05)


def test_sequences_and_single_frames_are_calibrated_apart() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], 2000)
    sequences = predictions(2 * rng.normal(4 * labels - 2, 1) + 1, labels)  # log odds 4 x before the change
    frames = predictions(rng.normal(2 * labels - 1, 1), labels, is_sequence=False)  # log odds 2 x
    scoring = calibrate([*sequences, *frames], ScoringConfig(), Targets())
    assert scoring.temperature == pytest.approx(0.5, rel=0.15)
    assert scoring.bias == pytest.approx(-2, abs=0.4)
    assert 0.5 < scoring.frame_temperature < 1.5
    assert to_frame_probability(0.0, scoring) == pytest.approx(0.5, abs=0.15)


def test_probabilities_do_not_carry_the_share_of_fakes_and_few_clips_are_no_certainty() -> None:
    few = predictions(np.array([-2.0] * 40 + [2.0] * 5), np.array([0] * 40 + [1] * 5))
    scoring = calibrate(few, ScoringConfig(), Targets())
    low, high = (to_probability(logit, scoring) for logit in (-2.0, 2.0))
    assert low == pytest.approx(1 / 42, abs=0.01)
    assert high == pytest.approx(6 / 7, abs=0.01)


def test_a_rate_holds_on_each_data_set_of_reals_that_is_large_enough() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], 200)
    lab = predictions(rng.normal(6 * labels - 3, 1), labels)
    street = predictions(rng.normal(1, 1, 40), np.zeros(40), dataset="street")
    small = predictions(np.full(10, 9.0), np.zeros(10), dataset="small")

    def share(members: list[Prediction], scoring: ScoringConfig) -> float:
        above = [to_probability(prediction.logit or 0, scoring) >= scoring.suspicious_at for prediction in members]
        return sum(above) / len(above)

    alone = calibrate(lab, ScoringConfig(), Targets())
    assert share(lab[:200], alone) == 0.05
    assert share(street, alone) > 0.5
    both = calibrate([*lab, *street, *small], ScoringConfig(), Targets())
    assert share(street, both) == 0.05
    assert (both.temperature, both.bias) == (alone.temperature, alone.bias)
    thresholds = [point.threshold for point in both.operating_points]
    assert thresholds == sorted(thresholds, reverse=True)  # though 'small' counts from a rate of 0.1 on alone


@pytest.mark.parametrize(("noise", "helps"), [(0.1, True), (9.0, False)])
def test_the_transformer_is_held_against_the_mean(noise: float, helps: bool) -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 100)
    means = predictions(rng.normal(0, 1, 200) + labels, labels)
    truth = 3 * labels - 1.5 + rng.normal(0, noise, 200)
    corrected = [
        replace(prediction, logit=(prediction.mean_logit or 0) + float(shift))
        for prediction, shift in zip(means, truth, strict=True)
    ]
    aucs = compare_correction(corrected)
    assert aucs is not None
    assert (aucs[0] > aucs[1]) == helps
    assert compare_correction(corrected[:100]) is None


def test_frames_by_themselves_have_thresholds_of_their_own() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat([0, 1], 200)
    sequences = predictions(rng.normal(6 * labels - 3, 1), labels)
    frames = predictions(rng.normal(labels, 1), labels, is_sequence=False)
    scoring = calibrate([*sequences, *frames], ScoringConfig(), Targets())
    reals = [to_frame_probability(logit or 0, scoring) for prediction in (*sequences, *frames) if prediction.label == 0
             for logit in prediction.frame_logits]  # fmt: skip
    assert np.mean(np.array(reals) >= scoring.frame_suspicious_at) == 0.05
    assert decide_frame_verdict(scoring.frame_suspicious_at, scoring) is Verdict.SUSPICIOUS
    assert decide_frame_verdict(1.0, scoring) is Verdict.MANIPULATED
