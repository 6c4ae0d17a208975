"""A trained model as a directory that a service can run: weights, graph, manifest and card."""

import json
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np

from training.config import TrainConfig
from training.errors import TrainingError
from training.release.model_card import write_card
from training.release.onnx_export import export_onnx
from worker.detector.config import ScoringConfig
from worker.detector.model.checkpoint import load_weights, save_weights
from worker.detector.model.classifier import Classifier
from worker.detector.model.manifest import (
    CARD_NAME,
    GRAPH_NAME,
    MANIFEST_NAME,
    WEIGHTS_NAME,
    Manifest,
    Provenance,
    load_manifest,
    sha256_of,
    verify_files,
)
from worker.detector.model.onnx_engine import OnnxEngine
from worker.detector.model.torch_engine import TorchEngine

PARITY_MAX = 1e-4
"""Most that a logit of the graph may differ from torch's."""
SIZE_MAX_BYTES = 30 * 2**20
"""A directory that is cloned with the repository."""


class ReleaseError(TrainingError):
    """The model must not be released; the message says why."""


def save_model(folder: Path, classifier: Classifier, config: TrainConfig, *, initial_weights: str) -> Manifest:
    """Writes a model that was just trained: weights in half precision, the graph over them, the manifest.

    The network holds the rounded weights afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    classifier.cpu().eval()
    save_weights(classifier, folder / WEIGHTS_NAME, half=True)
    load_weights(classifier, folder / WEIGHTS_NAME)
    export_onnx(classifier, config.detector, folder)
    manifest = Manifest(
        name=config.name,
        version="0",
        trained=True,
        files={name: sha256_of(folder / name) for name in (WEIGHTS_NAME, GRAPH_NAME)},
        detector=config.detector,
        provenance=Provenance(
            code_version=_code_version(),
            initial_weights=initial_weights,
            data_sha256={config.data.manifest.name: sha256_of(config.data.manifest)},
            data_terms=config.data.terms,
            config=_describe(config),
        ),
    )
    write_manifest(folder, manifest)
    return manifest


def with_scoring(manifest: Manifest, scoring: ScoringConfig) -> Manifest:
    """The same model, calibrated otherwise."""
    return manifest.model_copy(update={"detector": manifest.detector.model_copy(update={"scoring": scoring})})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest of a model, whole or not at all."""
    unfinished = folder / f"{MANIFEST_NAME}.part"
    unfinished.write_text(json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n")
    unfinished.replace(folder / MANIFEST_NAME)


def release(model: Path, out: Path, *, name: str, version: str, report: Path | None, notes: Path | None) -> Manifest:
    """Checks a model and writes it under a name and version.

    Args:
        model: Directory of the model.
        out: Directory that is written; it must not exist.
        name: Of the released model.
        version: Of the released model.
        report: ``report.json`` of its evaluation; its figures go into manifest and card.
        notes: Markdown that is added to the card.

    Raises:
        ReleaseError: It is not calibrated, ONNX and torch differ, it is too large, or ``out`` exists.
        CheckpointError: It is no model.
    """
    if out.exists():
        raise ReleaseError(f"{out} exists. A released model is never changed: choose another folder.")
    manifest = load_manifest(model)
    verify_files(model, manifest)
    if not manifest.detector.scoring.calibrated:
        raise ReleaseError("The model is not calibrated. Run 'python -m training calibrate' first.")
    difference = compare_engines(model, manifest)
    if difference > PARITY_MAX:
        raise ReleaseError(f"ONNX and torch differ by {difference:.1e}; {PARITY_MAX:.0e} is allowed.")
    figures = _read_figures(report, manifest) if report else {}
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for file in (WEIGHTS_NAME, GRAPH_NAME):
        shutil.copyfile(model / file, unfinished / file)
    metrics = {"datasets": figures.get("datasets", {}), "onnx_difference_max": difference}
    named = Manifest.model_validate(manifest.model_dump() | {"name": name, "version": version, "metrics": metrics})
    write_card(unfinished / CARD_NAME, named, figures, notes.read_text() if notes else "")
    released = named.model_copy(update={"files": named.files | {CARD_NAME: sha256_of(unfinished / CARD_NAME)}})
    write_manifest(unfinished, released)
    size = sum(path.stat().st_size for path in unfinished.iterdir())
    if size > SIZE_MAX_BYTES:
        raise ReleaseError(
            f"The directory has {size} bytes; {SIZE_MAX_BYTES} are allowed. Make the Transformer narrower."
        )
    unfinished.rename(out)
    return released


def compare_engines(model: Path, manifest: Manifest) -> float:
    """The largest difference of a logit between ONNX Runtime and torch, over sequences of several lengths."""
    engines = OnnxEngine(model, manifest), TorchEngine(model, manifest, device="cpu")
    rng = np.random.default_rng(0)
    size = manifest.detector.crop.size_px
    differences = []
    for count in (1, 8, 23):
        crops = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        times = np.arange(count, dtype=np.float32) / np.float32(25)
        onnx, torch = (engine.score(crops, times) for engine in engines)
        differences += [float(np.abs(onnx.frame_logits - torch.frame_logits).max()), abs(onnx.logit - torch.logit)]
    return max(differences)


def _describe(config: TrainConfig) -> dict[str, Any]:
    """The configuration with names instead of the paths of a machine."""
    described: dict[str, Any] = json.loads(config.model_dump_json())
    for part, key in ((described["data"], "manifest"), (described["data"], "landmarks"), (described, "initial")):
        part[key] = part[key] and Path(part[key]).name
    return described


def _read_figures(report: Path, manifest: Manifest) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(report.read_text())
    judged = figures["model"]["weights_sha256"]
    if judged != manifest.weights_sha256:
        raise ReleaseError(f"{report} is about other weights ({judged[:12]}). Evaluate this model first.")
    if figures["model"]["scoring"] != manifest.detector.scoring.model_dump(mode="json"):
        raise ReleaseError(f"{report} was made before the model was calibrated anew. Evaluate it again.")
    if figures["rows"] != "unseen":
        raise ReleaseError(
            f"{report} may be about people that the model was trained on. Evaluate --manifest, unseen rows."
        )
    return figures


def _code_version() -> str:
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607 (git of the machine, no input from outside)
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown commit"
    try:
        return f"{version_of('unmask')} ({commit})"
    except PackageNotFoundError:  # a checkout runs without being installed
        return f"checkout ({commit})"
