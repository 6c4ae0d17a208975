"""The figures of judged items: of each data set, at the level of frames and of clips."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from training.evaluation.metrics import Estimate, Judged, measure
from training.evaluation.predict import Item
from worker.detector.config import ScoringConfig
from worker.detector.scoring import to_frame_probability, to_probability

Report = dict[str, Any]


def summarise(items: Sequence[Item], scoring: ScoringConfig) -> Report:
    """The figures of each data set and of all, at the level of frames and of clips.

    ``clip_mean`` is the clip without the Transformer: the mean of its frame logits. What could not be judged counts
    as 0.5.
    """
    names = sorted({item.dataset for item in items})
    sets = {name: [item for item in items if item.dataset == name] for name in names}
    if len(names) > 1:
        sets["all"] = list(items)
    return {name: _summarise_set(members, scoring) for name, members in sets.items()}


def frame_judged(items: Iterable[Item], scoring: ScoringConfig) -> Judged:
    """Every frame as an item of its own."""
    pairs = [(item, logit) for item in items for logit in item.frame_logits]
    probabilities = [0.5 if logit is None else to_frame_probability(logit, scoring) for _, logit in pairs]
    return _judged([item for item, _ in pairs], probabilities)


def clip_judged(items: Iterable[Item]) -> Judged:
    """Every sequence, as the service judges it."""
    clips = [item for item in items if item.is_sequence]
    return _judged(clips, [0.5 if item.probability is None else item.probability for item in clips])


def mean_judged(items: Iterable[Item], scoring: ScoringConfig) -> Judged:
    """Every sequence, by the mean of its frame logits."""
    clips = [item for item in items if item.is_sequence]
    probabilities = [0.5 if item.mean_logit is None else to_probability(item.mean_logit, scoring) for item in clips]
    return _judged(clips, probabilities)


def _summarise_set(items: Sequence[Item], scoring: ScoringConfig) -> Report:
    sequences = [item for item in items if item.is_sequence]
    levels = {
        "frame": (
            frame_judged(items, scoring),
            _share([logit is not None for item in items for logit in item.frame_logits]),
        ),
        "clip": (clip_judged(items), _share([item.probability is not None for item in sequences])),
        "clip_mean": (mean_judged(items, scoring), _share([item.probability is not None for item in sequences])),
    }
    thresholds = {"frame": scoring.frame_suspicious_at}
    return {
        level: measure(judged, threshold=thresholds.get(level, scoring.suspicious_at))
        | {"coverage": Estimate(coverage)}
        | _count(judged)
        for level, (judged, coverage) in levels.items()
        if len(judged.labels)
    }


def measure_aucs(items: Sequence[Item], scoring: ScoringConfig) -> Report:
    """AUC alone, without intervals, of each data set and level: a row of a table of robustness."""
    summary: Report = {}
    for name in sorted({item.dataset for item in items}):
        members = [item for item in items if item.dataset == name]
        levels = {"frame": frame_judged(members, scoring), "clip": clip_judged(members)}
        for level, judged in levels.items():
            if len(judged.labels):
                summary[f"{name} {level}"] = measure(judged, threshold=0.5, resamples=0)["auc"]
    return summary


def _judged(items: Sequence[Item], probabilities: Sequence[float]) -> Judged:
    return Judged(
        labels=np.array([item.label for item in items], np.int64),
        probabilities=np.array(probabilities, np.float64),
        groups=np.array([item.group for item in items], np.str_),
    )


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _count(judged: Judged) -> dict[str, int]:
    return {
        "items": len(judged.labels),
        "fakes": int(judged.labels.sum()),
        "groups": len(np.unique(judged.groups)),
    }
