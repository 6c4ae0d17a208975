"""What runs the classifier: anything that turns the crops and times of a track into logits."""

from pathlib import Path
from typing import Protocol

from worker.detector.manifest import Manifest
from worker.detector.types import Floats, Image, SequenceScore


class Engine(Protocol):
    """Crops (N, S, S, 3) uint8 and their times (N,) in seconds become N frame logits and one of the sequence."""

    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        """Scores one sequence of at least one crop."""


def make_engine(folder: Path, manifest: Manifest, *, device: str) -> Engine:
    """An engine for a model.

    Args:
        folder: The model's directory.
        manifest: Its manifest.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        CheckpointError: The weights are not those of the manifest.
    """
    # Seconds and hundreds of megabytes: only the process that scores pays for them.
    from worker.detector.torch_engine import TorchEngine  # noqa: PLC0415

    return TorchEngine(folder, manifest, device=device)
