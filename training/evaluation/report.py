"""Report of an evaluation: ``report.json`` for programs, ``report.md`` and plots for people."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.evaluation.metrics import Estimate
from training.evaluation.plots import plot_history, plot_scores
from training.evaluation.predict import Prediction
from training.evaluation.summary import Report, clip_scores, frame_scores
from worker.detector.model.manifest import Manifest

REPORT_NAME = "report.json"
_COLUMNS = [
    "auc", "ap", "eer", "tpr_at_fpr_1", "tpr_at_fpr_5",
    "accuracy", "precision", "recall", "fpr", "f1", "ece", "coverage",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """Result of an evaluation."""

    model: Manifest
    predictions: list[Prediction]
    datasets: Report
    robustness: dict[str, Report]
    rows: str
    """``unseen`` if the model was neither trained nor calibrated on any row, else ``all``; ``unchecked`` for lists."""


def write_report(out: Path, result: EvaluationResult, *, history: Path) -> Path:
    """Write report, page and plots into a folder; return the path of ``report.json``."""
    out.mkdir(parents=True, exist_ok=True)
    manifest, predictions, datasets = result.model, result.predictions, result.datasets
    robustness, scoring = result.robustness, result.model.detector.scoring
    plots = plot_history(history, out)
    for name, scores, threshold in (
        ("frames", frame_scores(predictions, scoring), scoring.stills.thresholds.suspicious_at),
        ("clips", clip_scores(predictions), scoring.clips.thresholds.suspicious_at),
    ):
        if len(scores.labels):
            plots += plot_scores(scores, out, name=name, threshold=threshold)
    model = {"name": manifest.name, "version": manifest.version, "weights_sha256": manifest.weights_sha256}
    content = {
        "model": model | {"scoring": scoring.model_dump(mode="json")},
        "rows": result.rows,
        "datasets": datasets,
        "robustness": robustness,
        "items": [_describe(prediction) for prediction in predictions],
    }
    path = out / REPORT_NAME
    path.write_text(json.dumps(content, indent=1, default=asdict) + "\n")
    (out / "report.md").write_text(_write_page(manifest, datasets, robustness, plots))
    return path


def format_table(datasets: Report, columns: Sequence[str] = _COLUMNS) -> str:
    """Return the metrics per data set and level as a Markdown table."""
    heads = ["data set", "level", "items", "fakes", "groups", *columns]
    rows = [
        [name, level, metrics["items"], metrics["fakes"], metrics["groups"], *map(_format, map(metrics.get, columns))]
        for name, levels in datasets.items()
        for level, metrics in levels.items()
    ]
    return format_rows(heads, rows)


def format_robustness(robustness: dict[str, Report]) -> str:
    """Return a Markdown table with a row per change: AUCs, with the difference from clean, and flipped verdicts."""
    names = list(robustness.get("clean", {}))
    clean = robustness.get("clean", {})

    def cell(change: str, name: str) -> str:
        value, base = robustness[change][name].value, clean[name].value
        if value is None or base is None:
            return "-"
        if name.endswith("flips"):
            return _format(robustness[change][name])
        return f"{value:.3f}" if change == "clean" else f"{value:.3f} ({value - base:+.3f})"

    table = format_rows(
        ["change", *names], [[change, *(cell(change, name) for name in names)] for change in robustness]
    )
    return f"`flips` is the share of real clips whose verdict is another one than without the change.\n\n{table}"


def _write_page(manifest: Manifest, datasets: Report, robustness: dict[str, Report], plots: Iterable[Path]) -> str:
    parts = [
        f"# {manifest.name} {manifest.version}",
        "Intervals are 95 %, from a bootstrap over people (groups where people are unknown). `clip_mean` is the mean "
        "of a clip's frame logits, without the Transformer. A clip or frame that could not be evaluated counts as 0.5.",
        format_table(datasets),
    ]
    if robustness:
        parts += [
            "## Robustness",
            format_robustness(robustness),
        ]
    parts += [f"![{plot.stem}]({plot.name})" for plot in plots]
    return "\n\n".join(parts) + "\n"


def _describe(prediction: Prediction) -> dict[str, Any]:
    probability = 0.5 if prediction.probability is None else prediction.probability
    return {
        "path": prediction.path,
        "label": prediction.label,
        "dataset": prediction.dataset,
        "probability": probability,
        "verdict": prediction.verdict,
        "reasons": prediction.reasons,
        "code": prediction.code,
        "logit": prediction.logit,
        "frame_logits": prediction.frame_logits,
    }


def _format(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    if estimate.low is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def format_rows(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
