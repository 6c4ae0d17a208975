"""Preprocessing of crops: the only normalisation, shared by training and serving."""

import numpy as np

from worker.detector.config import CropConfig
from worker.detector.types import Floats, Image


def normalise(crops: Image, config: CropConfig) -> Floats:
    """Normalise RGB crops with the mean and standard deviation of the backbone's training.

    Args:
        crops: (N, S, S, 3) uint8.
        config: Mean and standard deviation.

    Returns:
        (N, 3, S, S) float32.
    """
    scaled = crops.astype(np.float32) / np.float32(255)
    normal = (scaled - np.asarray(config.mean, np.float32)) / np.asarray(config.std, np.float32)
    return np.ascontiguousarray(normal.transpose(0, 3, 1, 2))
