"""Crops to the network's input; the only normalisation there is."""

import numpy as np

from worker.detector.config import CropConfig
from worker.detector.types import Floats, Image


def normalise(crops: Image, config: CropConfig) -> Floats:
    """RGB uint8 crops (N, S, S, 3) -> float32 (N, 3, S, S) with the mean and deviation of the backbone's training."""
    scaled = crops.astype(np.float32) / np.float32(255)
    normal = (scaled - np.asarray(config.mean, np.float32)) / np.asarray(config.std, np.float32)
    return np.ascontiguousarray(normal.transpose(0, 3, 1, 2))
