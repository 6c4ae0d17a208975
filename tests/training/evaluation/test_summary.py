"""Summary of predictions: rows of the robustness table."""

from dataclasses import replace

from app.core.enums import Verdict
from training.evaluation.predict import Prediction
from training.evaluation.summary import compare_variant
from worker.detector.config import ScoringConfig


def make_prediction(number: int, *, label: int, probability: float, verdict: Verdict) -> Prediction:
    return Prediction(
        path=str(number), label=label, dataset="d", group=str(number), is_sequence=True, frame_logits=(probability,),
        probability=probability, verdict=verdict,
    )  # fmt: skip


def test_flips_are_real_clips_with_another_verdict_than_without_the_change() -> None:
    clean = [
        make_prediction(number, label=int(number >= 8), probability=number / 10, verdict=Verdict.AUTHENTIC)
        for number in range(10)
    ]
    changed = [
        replace(prediction, probability=0.95, verdict=Verdict.SUSPICIOUS)
        if prediction.path in {"3", "9"}
        else prediction
        for prediction in clean
    ]
    row = compare_variant(clean, changed, ScoringConfig())
    assert row["d flips"].value == 1 / 8  # the fake is not counted
    assert row["d flips"].low < 0.01
    assert 0.5 < row["d flips"].high < 0.6
    assert row["d clip AUC"].value == 14.5 / 16  # the real outranks one fake and ties with the other
    assert compare_variant(clean, clean, ScoringConfig())["d flips"].value == 0
