"""Weights of a model on disk, in safetensors. Nothing is unpickled."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from worker.detector.model.classifier import Classifier
from worker.detector.model.manifest import WEIGHTS_NAME, CheckpointError, Manifest


def load_classifier(folder: Path, manifest: Manifest) -> Classifier:
    """Load the network of a model with verified files, in evaluation mode. Raises CheckpointError."""
    try:
        classifier = Classifier(manifest.detector.classifier)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"{folder} names a network that cannot be created: {error}") from error
    load_weights(classifier, folder / WEIGHTS_NAME)
    return classifier.eval()


def load_weights(classifier: Classifier, path: Path) -> None:
    """Load weights from a file into a network. Raises CheckpointError if their shapes differ."""
    try:
        stored = load_file(path)
        classifier.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
        )
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path} does not match the network of its manifest: {error}") from error


def save_weights(classifier: Classifier, path: Path, *, half: bool) -> None:
    """Write the weights of a network.

    Args:
        classifier: The network.
        path: Destination.
        half: Store matrices in half precision. Norms and biases stay in single precision.
    """
    save_file(
        {
            name: (tensor.half() if half and tensor.is_floating_point() and tensor.ndim > 1 else tensor).contiguous()
            for name, tensor in classifier.state_dict().items()
        },
        path,
    )
