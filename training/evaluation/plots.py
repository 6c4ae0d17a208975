"""Plots of an evaluation: ROC, precision-recall, reliability, confusion matrix, and the history of the training."""

import csv
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

from training.evaluation.metrics import CALIBRATION_BINS, LabelledScores

mpl.use("agg")


def plot_scores(scores: LabelledScores, out: Path, *, name: str, threshold: float) -> list[Path]:
    """Write ROC, precision-recall, reliability diagram and confusion matrix of a data set as PNG.

    Returns the paths of the plots; none if the data set lacks a class.
    """
    if len(np.unique(scores.labels)) < 2:
        return []
    labels, probabilities = scores.labels, scores.probabilities
    plots = []
    for title in ("roc", "precision-recall", "reliability", "confusion"):
        figure = Figure(figsize=(4.5, 4), layout="constrained")
        axes = figure.subplots()
        if title == "roc":
            RocCurveDisplay.from_predictions(labels, probabilities, ax=axes, plot_chance_level=True)
        elif title == "precision-recall":
            PrecisionRecallDisplay.from_predictions(labels, probabilities, ax=axes)
        elif title == "reliability":
            _plot_reliability(scores, axes)
        else:
            predicted = (probabilities >= threshold).astype(int)
            ConfusionMatrixDisplay.from_predictions(
                labels, predicted, labels=[0, 1], display_labels=["real", "fake"], ax=axes, colorbar=False
            )
        axes.set_title(name)
        plots.append(_save(figure, out / f"{name.replace(' ', '-')}-{title}.png"))
    return plots


def plot_history(history: Path, out: Path) -> list[Path]:
    """Write loss and accuracy over the steps of a training as PNG; return their paths, none without a history."""
    if not history.exists():
        return []
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    plots = []
    for title, names in {"loss": ["loss"], "accuracy": ["accuracy", "validation_f1", "validation_auc"]}.items():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for stage in dict.fromkeys(row["stage"] for row in rows):
            for name in names:
                points = [(int(row["step"]), float(row[name])) for row in rows if row["stage"] == stage and row[name]]
                if points:
                    axes.plot(*zip(*points, strict=True), label=f"{stage}: {name.replace('_', ' ')}")
        axes.set_xlabel("step")
        axes.legend()
        plots.append(_save(figure, out / f"training-{title}.png"))
    return plots


def _plot_reliability(scores: LabelledScores, axes: mpl.axes.Axes) -> None:
    bins = np.minimum((scores.probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    predicted = np.bincount(bins, scores.probabilities, CALIBRATION_BINS)[counts > 0] / counts[counts > 0]
    observed = np.bincount(bins, scores.labels, CALIBRATION_BINS)[counts > 0] / counts[counts > 0]
    axes.plot([0, 1], [0, 1], "k--", linewidth=1)
    axes.plot(predicted, observed, "o-")
    for x, y, count in zip(predicted, observed, counts[counts > 0], strict=True):
        axes.annotate(str(count), (x, y), textcoords="offset points", xytext=(4, -10), fontsize=7)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed share of fakes")


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path
