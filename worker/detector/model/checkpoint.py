"""The weights of a model on disk, in safetensors; nothing is unpickled."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from worker.detector.model.classifier import Classifier
from worker.detector.model.manifest import WEIGHTS_NAME, CheckpointError, Manifest


def load_classifier(folder: Path, manifest: Manifest) -> Classifier:
    """The network of a model whose files were verified, in evaluation mode. Raises CheckpointError."""
    try:
        classifier = Classifier(manifest.detector.classifier)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"{folder} names a network that cannot be made: {error}") from error
    load_weights(classifier, folder / WEIGHTS_NAME)
    return classifier.eval()


def load_weights(classifier: Classifier, path: Path) -> None:
    """Fills a network from a file. Raises CheckpointError where they do not fit each other."""
    try:
        stored = load_file(path)
        classifier.load_state_dict(
            {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in stored.items()}
        )
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path} does not fit the network of its manifest: {error}") from error


def save_weights(classifier: Classifier, path: Path, *, half: bool) -> None:
    """Writes the weights; ``half`` stores matrices in half precision, norms and biases stay in single."""
    save_file(
        {
            name: (tensor.half() if half and tensor.is_floating_point() and tensor.ndim > 1 else tensor).contiguous()
            for name, tensor in classifier.state_dict().items()
        },
        path,
    )
