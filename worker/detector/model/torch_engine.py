"""Classifier on PyTorch, for a GPU. On the CPU it is the reference for ONNX Runtime."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from worker.detector.model.checkpoint import load_classifier
from worker.detector.model.manifest import Manifest
from worker.detector.model.preprocessing import normalise
from worker.detector.types import Floats, Image, SequenceScore


class TorchEngine:
    """``Engine`` for a model with verified files. Raises CheckpointError if the weights do not match its manifest."""

    def __init__(self, folder: Path, manifest: Manifest, *, device: Literal["cpu", "cuda"]) -> None:
        self._crop = manifest.detector.crop
        self._device = torch.device(device)
        classifier = load_classifier(folder, manifest).to(self._device)
        self._classifier = classifier.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def score(self, crops: Image, pts_seconds: Floats) -> SequenceScore:
        """Score one sequence of at least one crop."""
        pixels = torch.from_numpy(normalise(crops, self._crop)).to(self._device)
        times = torch.from_numpy(np.ascontiguousarray(pts_seconds, np.float32)).to(self._device)
        mask = torch.ones(1, len(crops), dtype=torch.bool, device=self._device)
        frame_logits, logit = self._classifier(pixels.unsqueeze(0), times.unsqueeze(0), mask)
        return SequenceScore(frame_logits=frame_logits[0].cpu().numpy(), logit=float(logit[0]))
