"""Cache of a worker's detectors: the default one, and those of installed models, loaded on first use."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from app.core.enums import FailureCode
from worker.detector.model.manifest import CheckpointError, load_model_manifest
from worker.detector.pipeline import Detector
from worker.detector.types import ClipError

LOADED_MAX = 2
"""Maximum number of loaded detectors besides the default. Each one holds weights and a decoder process."""


class DetectorCache:
    """LRU cache of detectors by the name of their model. Not thread-safe."""

    def __init__(self, default: Detector, folder: Path, make: Callable[[Path], Detector]) -> None:
        self.default = default
        self._folder = folder
        self._make = make
        self._loaded: OrderedDict[str, Detector] = OrderedDict()

    def get(self, name: str | None) -> Detector:
        """Return the detector of a model, or the default for None. Raises ClipError if the model cannot be run."""
        if name is None:
            return self.default
        try:
            manifest = load_model_manifest(self._folder / name)
            if name in self._loaded and self._loaded[name].manifest != manifest:
                self._close_detector(name)  # another version was installed
            if name not in self._loaded:
                self._loaded[name] = self._make(self._folder / name)
        except CheckpointError as error:
            # The message names the difference, but does not disclose paths to the client.
            reason = str(error).replace(str(self._folder / name), name)
            message = f"The worker cannot run the model {name!r}: {reason}. Install it again."
            raise ClipError(FailureCode.MODEL_UNAVAILABLE, message) from error
        self._loaded.move_to_end(name)
        while len(self._loaded) > LOADED_MAX:
            self._close_detector(next(iter(self._loaded)))
        return self._loaded[name]

    def close(self) -> None:
        """Stop all decoder processes."""
        for name in list(self._loaded):
            self._close_detector(name)
        self.default.close()

    def _close_detector(self, name: str) -> None:
        self._loaded.pop(name).close()
