"""Summary of predictions: metrics per data set, at the level of frames and of clips."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from app.core.calibration import Calibration
from training.evaluation.metrics import Estimate, LabelledScores, compute_metrics
from training.evaluation.predict import Prediction
from worker.detector.config import ScoringConfig

Report = dict[str, Any]


def summarise(predictions: Sequence[Prediction], scoring: ScoringConfig) -> Report:
    """Return the metrics per data set and of all together, at the level of frames and of clips.

    ``clip_mean`` is the clip without the Transformer: the mean of its frame logits. A frame or clip that could not be
    evaluated counts as 0.5.
    """
    names = sorted({prediction.dataset for prediction in predictions})
    sets = {name: [prediction for prediction in predictions if prediction.dataset == name] for name in names}
    if len(names) > 1:
        sets["all"] = list(predictions)
    return {name: _summarise_set(members, scoring) for name, members in sets.items()}


def frame_scores(predictions: Iterable[Prediction], scoring: ScoringConfig) -> LabelledScores:
    """Return the score of every frame."""
    pairs = [(prediction, logit) for prediction in predictions for logit in prediction.frame_logits]
    probabilities = [0.5 if logit is None else scoring.stills.to_probability(logit) for _, logit in pairs]
    return _scores_of([prediction for prediction, _ in pairs], probabilities)


def clip_scores(predictions: Iterable[Prediction]) -> LabelledScores:
    """Return the score of every sequence, as the service computes it."""
    clips = [prediction for prediction in predictions if prediction.is_sequence]
    return _scores_of(
        clips, [0.5 if prediction.probability is None else prediction.probability for prediction in clips]
    )


def mean_scores(predictions: Iterable[Prediction], scoring: ScoringConfig) -> LabelledScores:
    """Return the score of every sequence by the mean of its frame logits."""
    clips = [prediction for prediction in predictions if prediction.is_sequence]
    probabilities = [
        0.5 if prediction.mean_logit is None else scoring.clips.to_probability(prediction.mean_logit)
        for prediction in clips
    ]
    return _scores_of(clips, probabilities)


def _summarise_set(predictions: Sequence[Prediction], scoring: ScoringConfig) -> Report:
    sequences = [prediction for prediction in predictions if prediction.is_sequence]
    levels = {
        "frame": (
            frame_scores(predictions, scoring),
            _share([logit is not None for prediction in predictions for logit in prediction.frame_logits]),
        ),
        "clip": (clip_scores(predictions), _share([prediction.probability is not None for prediction in sequences])),
        "clip_mean": (
            mean_scores(predictions, scoring),
            _share([prediction.probability is not None for prediction in sequences]),
        ),
    }
    return {
        level: compute_metrics(scores, threshold=_calibration_of(level, scoring).thresholds.suspicious_at)
        | {"coverage": Estimate(coverage)}
        | _count(scores)
        for level, (scores, coverage) in levels.items()
        if len(scores.labels)
    }


def compare_variant(clean: Sequence[Prediction], changed: Sequence[Prediction], scoring: ScoringConfig) -> Report:
    """Return a row of the robustness table: per data set the AUCs, and the share of real clips with another verdict.

    The share has an exact interval (Clopper and Pearson, 1934), the AUCs have none.
    """
    summary: Report = {}
    verdicts = {
        (prediction.dataset, prediction.path): prediction.verdict for prediction in clean if prediction.label == 0
    }
    for name in sorted({prediction.dataset for prediction in changed}):
        members = [prediction for prediction in changed if prediction.dataset == name]
        levels = {"frame": frame_scores(members, scoring), "clip": clip_scores(members)}
        for level, scores in levels.items():
            if len(scores.labels):
                summary[f"{name} {level} AUC"] = compute_metrics(scores, threshold=0.5, resamples=0)["auc"]
        reals = [prediction for prediction in members if prediction.is_sequence and prediction.label == 0]
        if reals:
            flips = sum(prediction.verdict != verdicts[name, prediction.path] for prediction in reals)
            interval = binomtest(flips, len(reals)).proportion_ci(method="exact")
            summary[f"{name} flips"] = Estimate(flips / len(reals), interval.low, interval.high)
    return summary


def _calibration_of(level: str, scoring: ScoringConfig) -> Calibration:
    return scoring.stills if level == "frame" else scoring.clips


def _scores_of(predictions: Sequence[Prediction], probabilities: Sequence[float]) -> LabelledScores:
    return LabelledScores(
        labels=np.array([prediction.label for prediction in predictions], np.int64),
        probabilities=np.array(probabilities, np.float64),
        groups=np.array([prediction.group for prediction in predictions], np.str_),
    )


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _count(scores: LabelledScores) -> dict[str, int]:
    return {
        "items": len(scores.labels),
        "fakes": int(scores.labels.sum()),
        "groups": len(np.unique(scores.groups)),
    }
