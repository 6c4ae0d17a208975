"""The model card (Mitchell et al., FAT* 2019): what a released model is for, what it can do, what it cannot."""

from pathlib import Path
from typing import Any

from training.evaluation.metrics import Estimate
from training.evaluation.report import format_robustness, format_table
from worker.detector.model.manifest import Manifest

_USE = """\
Judging whether a face in a video was swapped, reenacted or generated, as one signal among others in a moderation
pipeline. The verdict is for a person to validate at. It is not evidence against somebody, and must not be used to identify
anybody or to decide about a person without review."""

_LIMITS = """\
- `AUTHENTIC` means that nothing was found. Generators that the training did not see may leave nothing to find.
- Only faces are looked at: not voices, not lip movements against the sound, not scenes, text or metadata.
- Wholly generated people, and edits outside of the face, are not what it was trained on.
- Faces below the smallest size, dark or blurred ones are not judged, and say so.
- Strong recompression, filters and beauty effects move the probability; the tables show by how much some of them do.
- How it does on people by age, sex or skin was not measured: the data carry no such labels."""


def write_card(path: Path, manifest: Manifest, report: dict[str, Any], notes: str) -> None:
    """Writes the card.

    Args:
        path: File that is written.
        manifest: Of the model.
        report: Content of ``report.json``; may be empty.
        notes: Markdown that is added.
    """
    scoring, classifier, provenance = manifest.detector.scoring, manifest.detector.classifier, manifest.provenance
    datasets = {
        name: {level: _estimates(figures) for level, figures in levels.items()}
        for name, levels in report.get("datasets", {}).items()
    }
    robustness = {change: _estimates(row) for change, row in report.get("robustness", {}).items()}
    parts = [
        f"# {manifest.name} {manifest.version}",
        f"`{classifier.backbone}` on each {manifest.detector.crop.size_px} px face crop, a Transformer of "
        f"{classifier.layers} layers and width {classifier.width} over up to {classifier.sequence_max} frames.",
        "## Intended use",
        _USE,
    ]
    if provenance:
        lists = ", ".join(f"`{name}` (sha256 `{digest[:16]}`)" for name, digest in provenance.data_sha256.items())
        parts += [
            "## Data and terms",
            f"{provenance.data_terms}\n\nLists: {lists}. Backbone start: {provenance.initial_weights}. "
            f"Code: {provenance.code_version}. The whole configuration stands in `manifest.json`.",
        ]
    parts += [
        "## Calibration",
        f"Temperature {scoring.temperature:.3f}, bias {scoring.bias:+.3f}; of single frames "
        f"{scoring.frame_temperature:.3f} and {scoring.frame_bias:+.3f}. "
        f"`SUSPICIOUS` from {scoring.suspicious_at:.3f}, set for {scoring.suspicious_false_positive_rate:.0%} false "
        f"positives; `MANIPULATED` from {scoring.manipulated_at:.3f}, set for "
        f"{scoring.manipulated_false_positive_rate:.0%}.",
    ]
    if datasets:
        parts += [
            "## Figures",
            "On people that took no part in training, early_stopping or calibration; 95 % intervals over people. "
            "`clip_mean` is the clip without the Transformer.",
            format_table(datasets),
        ]
    if robustness:
        parts += ["## Under degradation", format_robustness(robustness)]
    parts += ["## What it cannot see", _LIMITS]
    path.write_text("\n\n".join([*parts, *([notes.strip()] if notes else [])]) + "\n")


def _estimates(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: Estimate(**value) if isinstance(value, dict) else value for name, value in figures.items()}
