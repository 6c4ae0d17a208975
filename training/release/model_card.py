"""Model card (Mitchell et al., FAT* 2019): intended use, metrics and limitations of a released model."""

from pathlib import Path
from typing import Any

from app.core.calibration import Calibration, RateEstimate
from training.evaluation.metrics import Estimate
from training.evaluation.report import format_robustness, format_rows, format_table
from worker.detector.model.manifest import Manifest

_USE = """\
Detecting whether a face in a video was swapped, reenacted or generated, as one signal among others in a moderation
pipeline. The verdict supports a human reviewer. It is not evidence against a person. It must not be used to identify a
person, or to decide about a person without review."""

_LIMITATIONS = """\
- `AUTHENTIC` means little evidence of manipulation. The model may miss generators that the training did not see.
- Only faces are analyzed: not voices, lip movements against the sound, scenes, text or metadata.
- The model was not trained on wholly generated people, or on edits outside of the face.
- Faces below the smallest size, dark or blurred faces are not evaluated, and the result says so.
- Strong recompression, filters and beauty effects change the probability; the tables show the effect of some of them.
- Metrics by age, sex or skin were not measured: the data have no such labels."""


def write_card(path: Path, manifest: Manifest, report: dict[str, Any], notes: str) -> None:
    """Write the model card.

    Args:
        path: File to write.
        manifest: Manifest of the model.
        report: Content of ``report.json``; may be empty.
        notes: Markdown to append.
    """
    classifier, provenance = manifest.detector.classifier, manifest.provenance
    clips, stills = manifest.detector.scoring.clips, manifest.detector.scoring.stills
    datasets = {
        name: {level: _estimates(metrics) for level, metrics in levels.items()}
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
            f"{provenance.data_terms}\n\nLists: {lists}. Initial weights: {provenance.initial_weights}. "
            f"Code: {provenance.code_version}. The whole configuration is in `manifest.json`.",
        ]
    parts += [
        "## Calibration",
        f"Temperature {clips.temperature:.3f}, bias {clips.bias:+.3f}; of single frames "
        f"{stills.temperature:.3f} and {stills.bias:+.3f}. Rates were measured on {clips.curve.real_clips} real and "
        f"{clips.curve.fake_clips} fake clips, with re-encoded and smaller copies of each.",
        _describe_thresholds(clips),
    ]
    if datasets:
        parts += [
            "## Metrics",
            "On people of neither training, early stopping nor calibration; 95 % intervals over people. "
            "`clip_mean` is the clip without the Transformer.",
            format_table(datasets),
        ]
    if robustness:
        parts += [
            "## Robustness",
            format_robustness(robustness),
        ]
    parts += ["## Limitations", _LIMITATIONS]
    path.write_text("\n\n".join([*parts, *([notes.strip()] if notes else [])]) + "\n")


def _describe_thresholds(calibration: Calibration) -> str:
    """Return a table of the default thresholds with the measured rates."""
    known = calibration.thresholds
    named = {"MANIPULATED": known.manipulated_at, "SUSPICIOUS": known.suspicious_at, "not AUTHENTIC": known.clear_at}
    points = {point.threshold: point for point in calibration.curve.points}
    rows = []
    for name, at in named.items():
        if at is not None:
            rates = points[at].false_positive_rate, points[at].true_positive_rate
            rows.append([f"`{name}`", f"{at:.3f}", *map(_format_rate, rates)])
    table = format_rows(["verdict", "from", "real clips at or above", "fake clips at or above"], rows)
    if known.clear_at is None:
        table += "\n\nThere are too few fake clips for a threshold of `AUTHENTIC`: such clips are `INCONCLUSIVE`."
    return table


def _format_rate(rate: RateEstimate | None) -> str:
    return f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}]" if rate else "-"


def _estimates(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: Estimate(**value) if isinstance(value, dict) else value for name, value in metrics.items()}
