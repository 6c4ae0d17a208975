"""Degraded copies of videos."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.clips import speaker
from training.evaluation.robustness import VARIANTS, encode_variant

Clip = Callable[[str], Path]


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_keeps_the_image_content(clip: Clip, tmp_path: Path, name: str) -> None:
    variant = VARIANTS[name]
    encode_variant(clip("rotated.mp4"), tmp_path / "out.mp4", variant)
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    _, image = capture.read()
    height, width = round(640 * variant.scale), round(480 * variant.scale)
    expected = cv2.resize(speaker(0, width=480, height=640), (width, height), interpolation=cv2.INTER_AREA)
    rows, columns = round(height * variant.cut), round(width * variant.cut)
    expected = expected[rows : height - rows, columns : width - columns][:, :: -1 if variant.flip else 1]
    assert image.shape == expected.shape
    expected_pixels = np.clip(expected.astype(float) + variant.brightness, 0, 255)
    assert np.abs(image[..., ::-1] - expected_pixels).mean() < 12
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 100
