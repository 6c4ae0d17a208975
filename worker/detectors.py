"""The models of a worker: the default one, and installed ones that jobs name, loaded when they are first asked for."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from app.core.enums import FailureCode
from worker.detector.model.manifest import CheckpointError, load_manifest
from worker.detector.pipeline import Detector
from worker.detector.types import ClipError

LOADED_MAX = 2
"""Named models that a process keeps beside the default one: each holds its weights and a decoder process."""


class DetectorCache:
    """Detectors by the name of their model. Not thread-safe."""

    def __init__(self, default: Detector, folder: Path, make: Callable[[Path], Detector]) -> None:
        self.default = default
        self._folder = folder
        self._make = make
        self._loaded: OrderedDict[str, Detector] = OrderedDict()

    def get(self, name: str | None) -> Detector:
        """The detector of a model, None for the default. Raises ClipError where it cannot be run."""
        if name is None:
            return self.default
        try:
            manifest = load_manifest(self._folder / name)
            if name in self._loaded and self._loaded[name].manifest != manifest:
                self._drop(name)  # it was installed anew
            if name not in self._loaded:
                self._loaded[name] = self._make(self._folder / name)
        except CheckpointError as error:
            # The client learns what differs, not where the files lie.
            reason = str(error).replace(str(self._folder / name), name)
            message = f"This worker cannot run the model {name!r}: {reason}."
            raise ClipError(FailureCode.MODEL_UNAVAILABLE, message) from error
        self._loaded.move_to_end(name)
        while len(self._loaded) > LOADED_MAX:
            self._drop(next(iter(self._loaded)))
        return self._loaded[name]

    def close(self) -> None:
        """Ends all decoder processes."""
        for name in list(self._loaded):
            self._drop(name)
        self.default.close()

    def _drop(self, name: str) -> None:
        self._loaded.pop(name).close()
