"""Preprocessing: normalised pixels."""

import numpy as np

from worker.detector.config import CropConfig
from worker.detector.model.preprocessing import normalise


def test_normalised_pixels_lie_between_minus_one_and_one() -> None:
    crops = np.array([0, 255], np.uint8).repeat(112 * 112 * 3).reshape(2, 112, 112, 3)
    normal = normalise(crops, CropConfig())
    assert normal.shape == (2, 3, 112, 112)
    assert (normal[0] == -1).all()
    assert (normal[1] == 1).all()
