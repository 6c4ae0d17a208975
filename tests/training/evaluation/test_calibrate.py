"""Calibration: temperature, bias and thresholds."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from app.core.calibration import TargetRates
from app.core.enums import Verdict
from training.evaluation.calibrate import CalibrationError, compare_correction, fit_scoring
from training.evaluation.metrics import LabelledScores, compute_metrics
from training.evaluation.predict import Prediction
from worker.detector.config import ScoringConfig


def make_rates(suspicious: float, manipulated: float) -> TargetRates:
    return TargetRates(suspicious_false_positive_rate=suspicious, manipulated_false_positive_rate=manipulated)


def make_predictions(
    logits: np.ndarray, labels: np.ndarray, *, is_sequence: bool = True, dataset: str = "d"
) -> list[Prediction]:
    return [
        Prediction(path=str(index), label=int(label), dataset=dataset, group=str(index), is_sequence=is_sequence,
             frame_logits=(float(logit),), logit=float(logit), mean_logit=float(logit))
        for index, (logit, label) in enumerate(zip(logits, labels, strict=True))
    ]  # fmt: skip


def test_fit_scoring_corrects_overconfidence_and_meets_the_rates() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 4000)
    logits = 5 * (rng.normal(size=4000) + 1.2 * (2 * labels - 1)) + 3  # five times too confident, and shifted
    scoring = fit_scoring(make_predictions(logits, labels), ScoringConfig(correction_weight=0.5), make_rates(0.1, 0.02))
    probabilities = [scoring.clips.to_probability(float(logit)) for logit in logits]
    scores = LabelledScores(labels, np.array(probabilities), np.arange(4000).astype(np.str_))
    ece = compute_metrics(scores, threshold=0.5, resamples=0)["ece"].value
    assert ece is not None
    assert ece < 0.03
    reals = np.array(probabilities)[labels == 0]
    assert 0.095 < (reals >= scoring.clips.thresholds.suspicious_at).mean() <= 0.1
    assert 0.019 < (reals >= scoring.clips.thresholds.manipulated_at).mean() <= 0.02
    assert scoring.correction_weight == 0.5
    assert scoring.clips.thresholds.suspicious_at < scoring.clips.thresholds.manipulated_at
    assert (scoring.clips.curve.real_clips, scoring.clips.curve.fake_clips) == (len(reals), 4000 - len(reals))
    missed = (np.array(probabilities)[labels == 1] < scoring.clips.thresholds.clear_at).mean()
    assert missed == pytest.approx(0.1, abs=0.02)


def test_fit_scoring_without_both_labels_or_with_inverted_logits_raises() -> None:
    with pytest.raises(CalibrationError, match="real and fake"):
        fit_scoring(make_predictions(np.zeros(4), np.zeros(4)), ScoringConfig(), TargetRates())
    with pytest.raises(CalibrationError, match="higher logits"):
        fit_scoring(
            make_predictions(np.array([2.0, 1.0, -1.0, -2.0] * 9), np.array([0, 0, 1, 1] * 9)),
            ScoringConfig(),
            TargetRates(),
        )
    with pytest.raises(ValidationError, match="must not exceed"):
        make_rates(0.01, 0.05)


def test_sequences_and_frames_get_separate_temperatures() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], 2000)
    sequences = make_predictions(2 * rng.normal(4 * labels - 2, 1) + 1, labels)  # log odds 4 x before the change
    frames = make_predictions(rng.normal(2 * labels - 1, 1), labels, is_sequence=False)  # log odds 2 x
    scoring = fit_scoring([*sequences, *frames], ScoringConfig(), TargetRates())
    assert scoring.clips.temperature == pytest.approx(0.5, rel=0.15)
    assert scoring.clips.bias == pytest.approx(-2, abs=0.4)
    assert 0.5 < scoring.stills.temperature < 1.5
    assert scoring.stills.to_probability(0.0) == pytest.approx(0.5, abs=0.15)


def test_probabilities_ignore_the_share_of_fakes_and_few_clips_are_not_certain() -> None:
    few = make_predictions(np.array([-2.0] * 40 + [2.0] * 5), np.array([0] * 40 + [1] * 5))
    scoring = fit_scoring(few, ScoringConfig(), TargetRates())
    low, high = (scoring.clips.to_probability(logit) for logit in (-2.0, 2.0))
    assert low == pytest.approx(1 / 42, abs=0.01)
    assert high == pytest.approx(6 / 7, abs=0.01)


def test_rate_holds_on_each_large_data_set_of_reals() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], 200)
    lab = make_predictions(rng.normal(6 * labels - 3, 1), labels)
    street = make_predictions(rng.normal(1, 1, 40), np.zeros(40), dataset="street")
    small = make_predictions(np.full(10, 9.0), np.zeros(10), dataset="small")

    def share(members: list[Prediction], scoring: ScoringConfig) -> float:
        clips = scoring.clips
        at = clips.thresholds.suspicious_at
        return float(np.mean([clips.to_probability(prediction.logit or 0) >= at for prediction in members]))

    alone = fit_scoring(lab, ScoringConfig(), TargetRates())
    assert share(lab[:200], alone) == 0.05
    assert share(street, alone) > 0.5
    both = fit_scoring([*lab, *street, *small], ScoringConfig(), TargetRates())
    assert share(street, both) == 0.05
    assert (both.clips.temperature, both.clips.bias) == (alone.clips.temperature, alone.clips.bias)


@pytest.mark.parametrize(("noise", "helps"), [(0.1, True), (9.0, False)])
def test_compare_correction_ranks_the_transformer_against_the_mean(noise: float, helps: bool) -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 100)
    means = make_predictions(rng.normal(0, 1, 200) + labels, labels)
    truth = 3 * labels - 1.5 + rng.normal(0, noise, 200)
    corrected = [
        replace(prediction, logit=(prediction.mean_logit or 0) + float(shift))
        for prediction, shift in zip(means, truth, strict=True)
    ]
    aucs = compare_correction(corrected)
    assert aucs is not None
    assert (aucs[0] > aucs[1]) == helps
    assert compare_correction(corrected[:100]) is None


def test_changed_copies_count_for_the_thresholds_and_not_as_clips() -> None:
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1], 100)
    clean = make_predictions(rng.normal(6 * labels - 3, 1), labels)
    copies = make_predictions(rng.normal(6 * labels, 1), labels)  # of the same paths
    alone, both = (
        fit_scoring(predictions, ScoringConfig(), TargetRates()) for predictions in (clean, [*clean, *copies])
    )
    assert alone.clips.curve.real_clips == both.clips.curve.real_clips == 100
    few = make_predictions(np.full(4, 9.0), np.zeros(4), dataset="few") * 4
    with_few = fit_scoring([*clean, *copies, *few], ScoringConfig(), make_rates(0.2, 0.2))
    assert with_few.clips.to_probability(9.0) >= with_few.clips.thresholds.suspicious_at  # four clips are too few
    reals = [prediction for prediction in (*clean, *copies) if prediction.label == 0]
    at = both.clips.thresholds.suspicious_at
    assert np.mean([both.clips.to_probability(prediction.logit or 0) >= at for prediction in reals]) == 0.05


def test_frames_get_separate_thresholds() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat([0, 1], 200)
    sequences = make_predictions(rng.normal(6 * labels - 3, 1), labels)
    frames = make_predictions(rng.normal(labels, 1), labels, is_sequence=False)
    scoring = fit_scoring([*sequences, *frames], ScoringConfig(), TargetRates())
    stills = scoring.stills
    reals = [stills.to_probability(logit or 0) for prediction in (*sequences, *frames) if prediction.label == 0
             for logit in prediction.frame_logits]  # fmt: skip
    at = stills.thresholds.suspicious_at
    assert np.mean(np.array(reals) >= at) == 0.05
    assert stills.thresholds.decide(at) is Verdict.SUSPICIOUS
    assert stills.thresholds.decide(1.0) is Verdict.MANIPULATED
