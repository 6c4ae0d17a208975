"""Calibration of a model: temperature, bias and thresholds, on people of no other split or part of 'val'."""

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit
from sklearn.metrics import roc_auc_score

from app.core.calibration import Calibration, TargetRates, measure_curve
from training.data.images import ImageStore
from training.data.manifest import is_one_of, load_crop_manifest
from training.data.splits import rows_of_part
from training.errors import TrainingError
from training.evaluation.evaluate import left_out_patterns, predict_variant
from training.evaluation.predict import (
    LabelledFile,
    Prediction,
    load_labelled_files,
    predict_crops,
)
from training.evaluation.robustness import DEGRADATIONS, UPLOADED_CROPS, UPLOADS
from training.release.release import with_scoring, write_manifest
from worker.detector.config import ScoringConfig
from worker.detector.model.engine import make_engine
from worker.detector.model.manifest import Manifest, load_model_manifest, read_manifest

_Scores = dict[str, dict[str, list[float]]]
"""Probabilities by data set and path. Changed copies of a clip share its path."""


class CalibrationError(TrainingError):
    """The data or the rates do not allow a calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationResult:
    """A fitted scoring and the data behind it."""

    scoring: ScoringConfig
    predictions: int
    """Number of predictions that the scoring was fitted on."""
    correction_aucs: tuple[float, float] | None
    """AUC of the sequences with the Transformer, and by the mean of their frame logits; see ``compare_correction``."""


def calibrate_model(
    model: Path, manifest: Path, clips: Path | None, rates: TargetRates, *, without: Sequence[str] = (), processes: int
) -> CalibrationResult:
    """Fit the scoring of a model on the calibration part of 'val', and write it into the model's manifest.

    All data are used as they are, and re-encoded and scaled down as uploads of users. The correction by the Transformer
    is switched off if the mean of the frame logits has the higher AUC.

    Args:
        model: Directory of the model; its ``manifest.json`` is replaced, also one of format 1.
        manifest: Manifest of crops, or a list of shards. Data sets that the training left out are not used.
        clips: List of real videos of other sources, on which the thresholds must hold too.
        rates: Rates of the default thresholds.
        without: Patterns of further data sets of the manifest that are not used.
        processes: Number of processes that analyze the videos.

    Raises:
        CalibrationError: There are no reals or no fakes, or higher logits do not mean fake.
        ManifestError: A list cannot be used.
        CheckpointError: The model cannot be run.
    """
    known = _load_manifest(model)
    files = load_labelled_files(clips) if clips else []
    rows = rows_of_part(load_crop_manifest(manifest), "calibrate")
    rows = [row for row in rows if not is_one_of(row.dataset, [*left_out_patterns(known), *without])]
    engine, store = make_engine(model, known, device="auto"), ImageStore(manifest.parent)
    scoring = ScoringConfig()
    predictions = predict_crops(rows, store, engine, with_scoring(known, scoring))
    aucs = compare_correction(predictions)
    if aucs and aucs[0] < aucs[1]:
        # Predict again: without the correction, another person may decide the verdict of a clip.
        scoring = ScoringConfig(correction_weight=0.0)
        predictions = predict_crops(rows, store, engine, with_scoring(known, scoring))
    for name in UPLOADED_CROPS:
        predictions += predict_crops(rows, store, engine, with_scoring(known, scoring), DEGRADATIONS[name])
    if files:
        predictions += _predict_videos(files, model, with_scoring(known, scoring), processes)
    scoring = fit_scoring(predictions, scoring, rates)
    write_manifest(model, with_scoring(known, scoring))
    return CalibrationResult(scoring=scoring, predictions=len(predictions), correction_aucs=aucs)


def _load_manifest(model: Path) -> Manifest:
    """Load a manifest. One of format 1 is read without its scoring, whose thresholds have no counts."""
    content = read_manifest(model)
    if content.get("format") != 1:
        return load_model_manifest(model)
    detector = {name: value for name, value in content.get("detector", {}).items() if name != "scoring"}
    return Manifest.model_validate(content | {"format": 2, "detector": detector})


def _predict_videos(files: Sequence[LabelledFile], model: Path, manifest: Manifest, processes: int) -> list[Prediction]:
    """Predict videos and their copies, with another manifest.

    The model is copied, because the processes load it from disk.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(model, Path(scratch, "model")))
        write_manifest(copy, manifest)
        names = (None, *UPLOADS)
        return [prediction for name in names for prediction in predict_variant(files, copy, name, processes=processes)]


def compare_correction(predictions: Sequence[Prediction]) -> tuple[float, float] | None:
    """Return the AUC of the sequences with the Transformer, and by the mean of their frame logits.

    Returns None if the sequences lack a label.
    """
    clips = [
        prediction
        for prediction in predictions
        if prediction.is_sequence and prediction.logit is not None and prediction.mean_logit is not None
    ]
    labels = [prediction.label for prediction in clips]
    if len(set(labels)) < 2:
        return None
    corrected, mean = [clip.logit for clip in clips], [clip.mean_logit for clip in clips]
    return float(roc_auc_score(labels, corrected)), float(roc_auc_score(labels, mean))


def fit_scoring(predictions: Sequence[Prediction], scoring: ScoringConfig, rates: TargetRates) -> ScoringConfig:
    """Fit the map from logits to probabilities, then measure the operating points.

    Sequences and single frames get a temperature and a bias each (Platt, 1999, with his smoothed targets). They are
    fitted as if half of the predictions were fake, on the data sets that have both labels. A data set of reals alone
    affects only the operating points. Changed copies of a clip, which share its path, are predictions of their own,
    but one clip.

    Args:
        predictions: Predictions of the calibration part, made with the correction of ``scoring``. Their sequences are
            the unit of the service; if these lack a label, every prediction counts as a sequence.
        scoring: Current values; the weight of the correction is kept.
        rates: Rates of the default thresholds.

    Raises:
        CalibrationError: There are no reals or no fakes, or higher logits do not mean fake.
    """
    scored = [(prediction.logit, prediction) for prediction in predictions if prediction.logit is not None]
    sequences = [pair for pair in scored if pair[1].is_sequence]
    clips = sequences if {0, 1} <= {prediction.label for _, prediction in sequences} else scored
    frames = [
        (logit, prediction) for prediction in predictions for logit in prediction.frame_logits if logit is not None
    ]
    return scoring.model_copy(update={"clips": _calibrate(clips, rates), "stills": _calibrate(frames, rates)})


def _calibrate(scored: Sequence[tuple[float, Prediction]], rates: TargetRates) -> Calibration:
    """Calibrate logits, given with their predictions."""
    temperature, bias = _fit_temperature(scored)
    fitted = Calibration(temperature=temperature, bias=bias, rates=rates)
    scores: tuple[_Scores, _Scores] = (defaultdict(lambda: defaultdict(list)), defaultdict(lambda: defaultdict(list)))
    for logit, prediction in scored:
        scores[prediction.label][prediction.dataset][prediction.path].append(fitted.to_probability(logit))
    reals, fakes = scores
    return Calibration(temperature=temperature, bias=bias, rates=rates, curve=measure_curve(reals, fakes))


def _fit_temperature(scored: Sequence[tuple[float, Prediction]]) -> tuple[float, float]:
    """Return temperature and bias of logits, given with their predictions."""
    logits = np.array([logit for logit, _ in scored])
    labels = np.array([prediction.label for _, prediction in scored], np.int64)
    names = np.array([prediction.dataset for _, prediction in scored], np.str_)
    both = np.intersect1d(names[labels == 0], names[labels == 1])
    if both.size:
        chosen = np.isin(names, both)
        logits, labels = logits[chosen], labels[chosen]
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        raise CalibrationError("The calibration part of 'val' needs real and fake faces. Add the missing label to it.")
    targets = np.array([1 / (counts[0] + 2), (counts[1] + 1) / (counts[1] + 2)])[labels]
    weights = 1 / counts[labels]

    def loss(parameters: np.ndarray) -> float:
        slope, bias = parameters
        calibrated = slope * logits + bias
        return float(-weights @ (targets * log_expit(calibrated) + (1 - targets) * log_expit(-calibrated)))

    slope, bias = minimize(loss, x0=np.array([1.0, 0.0]), method="Nelder-Mead").x
    if slope <= 0:
        raise CalibrationError(
            "Fakes do not get higher logits than reals, so the model cannot be calibrated. Check the labels."
        )
    return float(1 / slope), float(bias)
