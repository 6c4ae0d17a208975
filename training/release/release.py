"""Directories of models that a service can run: weights, graph, manifest and card."""

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
from training.files import atomic_write
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
    load_model_manifest,
    sha256_of,
    verify_files,
)
from worker.detector.model.onnx_engine import OnnxEngine
from worker.detector.model.torch_engine import TorchEngine

PARITY_MAX = 1e-4
"""Largest difference of a logit between ONNX Runtime and torch."""
SIZE_MAX_BYTES = 30 * 2**20
"""Largest size of a directory, because the bundled one is cloned with the repository."""


class ReleaseError(TrainingError):
    """The model cannot be released."""


def save_model(folder: Path, classifier: Classifier, config: TrainConfig, *, initial_weights: str) -> Manifest:
    """Write a trained model, as ``write_model``."""
    manifest = Manifest(
        name=config.name,
        version="0",
        trained=True,
        files={},
        detector=config.detector,
        provenance=Provenance(
            code_version=_code_version(),
            initial_weights=initial_weights,
            data_sha256={config.data.manifest.name: sha256_of(config.data.manifest)},
            data_terms=config.data.terms,
            config=_describe(config),
        ),
    )
    return write_model(folder, classifier, manifest)


def write_model(folder: Path, classifier: Classifier, manifest: Manifest) -> Manifest:
    """Write weights in half precision, their graph, and a manifest with their hashes, which is returned.

    The network has the rounded weights afterwards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    classifier.cpu().eval()
    save_weights(classifier, folder / WEIGHTS_NAME, half=True)
    load_weights(classifier, folder / WEIGHTS_NAME)
    export_onnx(classifier, manifest.detector, folder)
    files = {name: sha256_of(folder / name) for name in (WEIGHTS_NAME, GRAPH_NAME)}
    manifest = manifest.model_copy(update={"version": "0", "files": files, "metrics": {}})
    write_manifest(folder, manifest)
    return manifest


def with_scoring(manifest: Manifest, scoring: ScoringConfig) -> Manifest:
    """Return a manifest with another scoring."""
    return manifest.model_copy(update={"detector": manifest.detector.model_copy(update={"scoring": scoring})})


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a model atomically."""
    with atomic_write(folder / MANIFEST_NAME) as unfinished:
        unfinished.write_text(json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n")


def release_model(
    model: Path, out: Path, *, name: str, version: str, report: Path | None, notes: Path | None
) -> Manifest:
    """Verify a model and write it under a name and version.

    Args:
        model: Directory of the model.
        out: Directory to write; it must not exist.
        name: Name of the released model.
        version: Version of the released model.
        report: ``report.json`` of its evaluation; its metrics go into manifest and card.
        notes: Markdown to append to the card.

    Raises:
        ReleaseError: The model is not calibrated, ONNX and torch differ, it is too large, the report does not belong
            to it, or ``out`` exists.
        CheckpointError: The directory is not a model.
    """
    if out.exists():
        raise ReleaseError(f"{out} exists, and a released model is never changed. Choose another folder.")
    manifest = load_model_manifest(model)
    verify_files(model, manifest)
    if not manifest.calibrated:
        raise ReleaseError("The model is not calibrated. Run 'python -m training calibrate' first.")
    difference = compare_engines(model, manifest)
    if difference > PARITY_MAX:
        raise ReleaseError(f"ONNX and torch differ by {difference:.1e}; {PARITY_MAX:.0e} is allowed.")
    evaluation = _load_report(report, manifest) if report else {}
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for file in (WEIGHTS_NAME, GRAPH_NAME):
        shutil.copyfile(model / file, unfinished / file)
    metrics = {"datasets": evaluation.get("datasets", {}), "onnx_difference_max": difference}
    named = Manifest.model_validate(manifest.model_dump() | {"name": name, "version": version, "metrics": metrics})
    write_card(unfinished / CARD_NAME, named, evaluation, notes.read_text() if notes else "")
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
    """Return the largest difference of a logit between ONNX Runtime and torch, over sequences of several lengths."""
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
    """Return the configuration as JSON, with file names instead of the paths of this machine."""
    described: dict[str, Any] = json.loads(config.model_dump_json())
    data = described["data"]
    for part, key in ((data, "manifest"), (data, "landmarks"), (data, "generator"), (described, "initial")):
        part[key] = part[key] and Path(part[key]).name
    return described


def _load_report(path: Path, manifest: Manifest) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text())
    weights_sha256 = report["model"]["weights_sha256"]
    if weights_sha256 != manifest.weights_sha256:
        raise ReleaseError(f"{path} is about other weights ({weights_sha256[:12]}). Evaluate this model first.")
    if report["model"]["scoring"] != manifest.detector.scoring.model_dump(mode="json"):
        raise ReleaseError(f"{path} was made before the latest calibration of the model. Evaluate it again.")
    if report["rows"] != "unseen":
        raise ReleaseError(
            f"{path} may be about people that the model was trained on. Evaluate --manifest, unseen rows."
        )
    return report


def _code_version() -> str:
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607 (git from PATH, with constant arguments)
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown commit"
    try:
        return f"{version_of('unmask')} ({commit})"
    except PackageNotFoundError:  # a checkout that is not installed
        return f"checkout ({commit})"
