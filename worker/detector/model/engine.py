"""Engines that run the classifier: crops and times of a track in, logits out."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from worker.detector.model.manifest import Manifest, verify_files
from worker.detector.types import Floats, Image, SequenceScore

Device = Literal["auto", "cpu", "cuda"]


class EngineError(Exception):
    """The requested device cannot be used on this machine. The message names the next step."""


class Engine(Protocol):
    """Interface of an engine."""

    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        """Score one sequence of at least one crop.

        Args:
            crops: (N, S, S, 3) uint8.
            pts_seconds: (N,), presentation times in seconds.

        Returns:
            N frame logits and the logit of the sequence.
        """


def make_engine(folder: Path, manifest: Manifest, *, device: Device) -> Engine:
    """Return an engine for a model: ONNX Runtime on the CPU, torch on a GPU.

    Args:
        folder: Directory of the model.
        manifest: Manifest of the model.
        device: ``auto`` uses a GPU if torch is installed and finds one.

    Raises:
        CheckpointError: The files do not match the manifest.
        EngineError: There is no GPU, or torch is not installed.
    """
    verify_files(folder, manifest)
    # Each import costs seconds and hundreds of megabytes, so only the engine in use is imported.
    if device == "cpu" or (device == "auto" and not _has_gpu()):
        from worker.detector.model.onnx_engine import OnnxEngine  # noqa: PLC0415

        return OnnxEngine(folder, manifest)
    if not _has_gpu():
        raise EngineError("Torch finds no GPU. Install the extra 'gpu', or set UNMASK_DEVICE=cpu.")
    from worker.detector.model.torch_engine import TorchEngine  # noqa: PLC0415

    return TorchEngine(folder, manifest, device="cuda")


def _has_gpu() -> bool:
    if find_spec("torch") is None or not Path("/dev/nvidiactl").exists():
        return False
    import torch  # noqa: PLC0415

    return torch.cuda.is_available()
