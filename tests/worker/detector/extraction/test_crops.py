"""Crops: position, rotation, antialiasing, quality."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.enums import ReasonCode
from tests.support import clips
from worker.detector.config import CropConfig, FaceConfig
from worker.detector.extraction.crops import crop_face, make_crop
from worker.detector.types import Box, Face, Frame, Image

CONFIG = CropConfig()


def test_crop_at_original_size_equals_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    crop = crop_face(image, Face(Box(40, 60, 112, 112), 1.0), CONFIG)
    assert np.array_equal(crop, image[60:172, 40:152])


def test_downscaling_averages_all_pixels() -> None:
    image = np.zeros((448, 448, 3), np.uint8)
    image[::4] = 255  # a quarter of the rows: sampling every fourth would return all or nothing
    crop = crop_face(image, Face(Box(0, 0, 448, 448), 1.0), CONFIG)
    assert abs(crop.mean() - 255 / 4) < 2
    assert crop.std() < 8


def test_tilted_face_is_rotated_upright() -> None:
    picture = clips.speaker(0.0)
    face = Face(Box(208.0, 128.0, 224.0, 224.0), 1.0)
    rotation = cv2.getRotationMatrix2D((320, 240), -20, 1.0)
    tilted = cv2.warpAffine(picture, rotation, (640, 480)).astype(np.uint8)
    upright = crop_face(tilted, Face(face.box, 1.0, roll_degrees=20.0), CONFIG)
    difference = np.abs(upright.astype(int) - crop_face(picture, face, CONFIG).astype(int))
    assert difference[20:-20, 20:-20].mean() < 6


def test_crop_outside_the_image_is_mirrored() -> None:
    image = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (200, 1, 3))
    crop = crop_face(image, Face(Box(-56, 40, 112, 112), 1.0), CONFIG)
    assert crop[50, 55, 0] == crop[50, 57, 0] == 1  # around column 0


@given(
    x=st.floats(-500, 900),
    y=st.floats(-500, 900),
    width=st.floats(0.1, 3000),
    roll=st.floats(-180, 180),
    scale=st.floats(0.5, 3),
)
def test_any_box_returns_a_crop_of_full_size(x: float, y: float, width: float, roll: float, scale: float) -> None:
    image = np.full((120, 160, 3), 77, np.uint8)
    crop = crop_face(image, Face(Box(x, y, width, width), 1.0, roll), CropConfig(scale=scale))
    assert crop.shape == (112, 112, 3)
    assert (crop == 77).all()


@pytest.mark.parametrize(
    ("change", "width", "reason"),
    [
        (lambda image: image, 224, None),
        (lambda image: image, 20, ReasonCode.FACE_TOO_SMALL),
        (lambda image: image // 16, 224, ReasonCode.LOW_QUALITY_DARK),
        (lambda image: image // 8, 224, None),  # dark, but sharp relative to its contrast
        (lambda image: cv2.GaussianBlur(image, (0, 0), 16), 224, ReasonCode.LOW_QUALITY_BLUR),
    ],
)
def test_crop_of_low_quality_is_unusable(
    change: Callable[[Image], Image], width: int, reason: ReasonCode | None
) -> None:
    image = change(clips.speaker(0.0)).astype(np.uint8)
    face = Face(Box(320 - width / 2, 240 - width / 2, width, width), 1.0)
    assert make_crop(Frame(0, 0.0, image), face, CONFIG, FaceConfig()).unusable is reason
