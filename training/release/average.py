"""Average of the weights of models that were trained from one start (Wortsman et al., ICML 2022)."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from training.errors import TrainingError
from training.release.release import write_model
from worker.detector.config import ScoringConfig
from worker.detector.model.checkpoint import load_classifier
from worker.detector.model.manifest import Manifest, load_model_manifest, verify_files


class AverageError(TrainingError):
    """The models cannot be averaged."""


def parse_weights(text: str, count: int) -> list[float]:
    """Read weights such as ``0.4,0.3,0.3``, which add up to 1; an empty text gives equal ones. Raises AverageError."""
    if not text:
        return [1 / count] * count
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise AverageError(f"{text!r} is not a list of numbers such as 0.4,0.3,0.3.") from error
    if len(weights) != count or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise AverageError(f"{text!r} must be {count} numbers that add up to 1.")
    return weights


def average_models(models: Sequence[Path], out: Path, *, weights: Sequence[float]) -> Manifest:
    """Write the average of models. Crop and data are those of the first; the calibration is reset.

    Raises:
        AverageError: The models have other networks or left out other data, or ``out`` exists.
        CheckpointError: A directory is not a model.
    """
    if out.exists():
        raise AverageError(f"{out} exists. Choose another folder.")
    manifests = [load_model_manifest(folder) for folder in models]
    first = manifests[0]
    for folder, manifest in zip(models, manifests, strict=True):
        verify_files(folder, manifest)
        if manifest.detector.classifier != first.detector.classifier:
            raise AverageError(f"{folder} and {models[0]} have different networks. Average models of one network.")
        if _describe_unseen(manifest) != _describe_unseen(first):
            raise AverageError(
                f"{folder} and {models[0]} left out other data: a report could not tell what the average has seen."
            )
    classifiers = [load_classifier(folder, manifest) for folder, manifest in zip(models, manifests, strict=True)]
    states = [classifier.state_dict() for classifier in classifiers]
    average = {
        name: torch.stack([weight * state[name] for weight, state in zip(weights, states, strict=True)]).sum(0)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }
    classifiers[0].load_state_dict(average)
    parts = ", ".join(
        f"{weight:.3g} of {manifest.name} {manifest.version} (weights {manifest.weights_sha256[:12]})"
        for weight, manifest in zip(weights, manifests, strict=True)
    )
    provenance = first.provenance and first.provenance.model_copy(
        update={
            "initial_weights": f"average: {parts}",
            "data_terms": _join_terms(manifests),
            "data_sha256": {
                name: digest
                for manifest in manifests
                if manifest.provenance
                for name, digest in manifest.provenance.data_sha256.items()
            },
        }
    )
    detector = first.detector.model_copy(update={"scoring": ScoringConfig()})
    return write_model(out, classifiers[0], first.model_copy(update={"detector": detector, "provenance": provenance}))


def _describe_unseen(manifest: Manifest) -> tuple[object, object]:
    """Return what the training of a model left out: data sets and people."""
    data = manifest.provenance.config.get("data", {}) if manifest.provenance else {}
    return data.get("without", []), data.get("hold_out", {})


def _join_terms(manifests: Sequence[Manifest]) -> str:
    """Return the terms of the data of all models, without those that others contain."""
    terms = dict.fromkeys(manifest.provenance.data_terms for manifest in manifests if manifest.provenance)
    return " ".join(text for text in terms if not any(text != other and text in other for other in terms))
