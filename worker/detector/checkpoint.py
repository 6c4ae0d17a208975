"""The weights of a model on disk, in safetensors: loaded after the manifest was checked; nothing is unpickled."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from worker.detector.classifier import Classifier
from worker.detector.manifest import MANIFEST_NAME, CheckpointError, Manifest

WEIGHTS_NAME = "model.safetensors"


def load_classifier(folder: Path, manifest: Manifest) -> Classifier:
    """The network of a model, in evaluation mode. Raises CheckpointError."""
    if manifest.weights_sha256 is None:
        assert manifest.seed is not None  # the manifest checks itself
        with torch.random.fork_rng():
            torch.manual_seed(manifest.seed)
            return Classifier(manifest.detector.classifier).eval()
    path = folder / WEIGHTS_NAME
    if not path.exists():
        raise CheckpointError(f"{path} is missing")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != manifest.weights_sha256:
        raise CheckpointError(f"{path} is not the file of the manifest: its sha256 is {found}")
    classifier = Classifier(manifest.detector.classifier)
    tensors = {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load_file(path).items()
    }
    try:
        classifier.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit the network of its manifest: {error}") from error
    return classifier.eval()


def save_model(folder: Path, manifest: Manifest, classifier: Classifier) -> Manifest:
    """Writes weights and manifest; returns the manifest with the weights' sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WEIGHTS_NAME
    save_file({name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    signed = Manifest.model_validate(manifest.model_dump() | {"weights_sha256": sha256, "seed": None})
    (folder / MANIFEST_NAME).write_text(json.dumps(signed.model_dump(mode="json"), indent=2) + "\n")
    return signed
