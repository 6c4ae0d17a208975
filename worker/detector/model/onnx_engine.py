"""Classifier on ONNX Runtime, on the CPU: needs no torch and starts in a second."""

from pathlib import Path

import numpy as np
import onnxruntime

from worker.detector.model.manifest import GRAPH_NAME, CheckpointError, Manifest
from worker.detector.model.preprocessing import normalise
from worker.detector.types import Floats, Image, SequenceScore


class OnnxEngine:
    """``Engine`` for a model with verified files. Raises CheckpointError if its graph cannot be run."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._crop = manifest.detector.crop
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # one process per core: two thread pools on one core slow each other
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                folder / GRAPH_NAME, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise CheckpointError(f"{folder / GRAPH_NAME} cannot be run: {error}") from error

        size = manifest.detector.crop.size_px
        expected = {"crops": [3, size, size], "pts_seconds": []}
        found = {node.name: node.shape[1:] for node in self._session.get_inputs()}
        if found != expected:
            raise CheckpointError(f"{folder / GRAPH_NAME} takes {found}, but its manifest says {expected}")

    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        """Score one sequence of at least one crop."""
        inputs = {"crops": normalise(crops, self._crop), "pts_seconds": np.asarray(pts_seconds, np.float32)}
        frame_logits, logit = self._session.run(["frame_logits", "logit"], inputs)
        return SequenceScore(frame_logits=frame_logits, logit=float(logit))
