"""What runs the classifier: anything that turns the crops and times of a track into logits."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from worker.detector.model.manifest import Manifest, verify_files
from worker.detector.types import Floats, Image, SequenceScore

Device = Literal["auto", "cpu", "cuda"]


class EngineError(Exception):
    """The device that was asked for cannot be used here; the message says what to do."""


class Engine(Protocol):
    """Crops (N, S, S, 3) uint8 and their times (N,) in seconds become N frame logits and one of the sequence."""

    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        """Scores one sequence of at least one crop."""


def make_engine(folder: Path, manifest: Manifest, *, device: Device) -> Engine:
    """An engine for a model: ONNX Runtime on the CPU, torch on a GPU.

    Args:
        folder: The model's directory.
        manifest: Its manifest.
        device: ``auto`` takes a GPU where torch is installed and finds one.

    Raises:
        CheckpointError: The files are not those of the manifest, or do not fit it.
        EngineError: There is no GPU, or no torch to use it.
    """
    verify_files(folder, manifest)
    # Seconds and hundreds of megabytes: only the process that scores pays for the one that it runs.
    if device == "cpu" or (device == "auto" and not _has_gpu()):
        from worker.detector.model.onnx_engine import OnnxEngine  # noqa: PLC0415

        return OnnxEngine(folder, manifest)
    if not _has_gpu():
        raise EngineError("There is no GPU that torch can use. Install the extra 'gpu', or set UNMASK_DEVICE=cpu.")
    from worker.detector.model.torch_engine import TorchEngine  # noqa: PLC0415

    return TorchEngine(folder, manifest, device="cuda")


def _has_gpu() -> bool:
    if find_spec("torch") is None or not Path("/dev/nvidiactl").exists():
        return False
    import torch  # noqa: PLC0415

    return torch.cuda.is_available()
