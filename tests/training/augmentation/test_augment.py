"""Augmentations: one draw per clip, and the effect of each degradation."""

import numpy as np
import pytest

from tests.support.clips import speaker
from training.augmentation.augment import (
    Degradation,
    Geometry,
    compress_h264,
    degrade,
    sample_degradation,
    sample_geometry,
)
from training.config import AugmentConfig
from worker.detector.config import CropConfig
from worker.detector.extraction.crops import crop_face
from worker.detector.types import Box, Face, Image

FACE = Face(Box(208, 132, 224, 224), confidence=1.0)


@pytest.fixture(scope="module")
def crops() -> list[Image]:
    return [crop_face(speaker(index / 25), FACE, CropConfig()) for index in range(8)]


def test_default_degradation_changes_nothing(crops: list[Image]) -> None:
    assert all(np.array_equal(a, b) for a, b in zip(degrade(crops, Degradation()), crops, strict=True))


@pytest.mark.parametrize(
    "degradation",
    [
        Degradation(brightness=30),
        Degradation(contrast=0.7),
        Degradation(saturation=0.5),
        Degradation(tint=(9.0, 0.0, -9.0)),
        Degradation(small_scale=0.4),
        Degradation(blur_sigma_px=1.0),
        Degradation(noise_sigma=8),
        Degradation(jpeg_quality=30),
        Degradation(h264_crf=36),
    ],
)
def test_degradation_changes_pixels_but_not_the_content(crops: list[Image], degradation: Degradation) -> None:
    for before, after in zip(crops, degrade(crops, degradation), strict=True):
        assert after.shape == before.shape
        assert after.dtype == np.uint8
        difference = np.abs(after.astype(float) - before)
        assert 0 < difference.mean() < 40


def test_brightness_is_added_and_saturates() -> None:
    (bright,) = degrade([np.full((4, 4, 3), 250, np.uint8)], Degradation(brightness=30))
    assert (bright == 255).all()


def test_lower_saturation_keeps_grey() -> None:
    (grey,) = degrade([np.full((4, 4, 3), 90, np.uint8)], Degradation(saturation=0.2))
    assert np.abs(grey.astype(int) - 90).max() <= 1


def test_higher_crf_increases_the_error(crops: list[Image]) -> None:
    def error(crf: int) -> float:
        pairs = zip(compress_h264(crops, crf=crf), crops, strict=True)
        return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairs]))

    assert error(20) < error(30) < error(42)


def test_noise_differs_per_frame_and_repeats_with_its_seed(crops: list[Image]) -> None:
    still = [crops[0]] * 2
    first, again = (degrade(still, Degradation(noise_sigma=8, seed=3)) for _ in range(2))
    assert not np.array_equal(first[0], first[1])
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_compressed_crops_get_either_h264_or_jpeg(share: float) -> None:
    rng, config = np.random.default_rng(0), AugmentConfig(compression=1.0, h264=share)
    drawn = [sample_degradation(config, rng) for _ in range(200)]
    assert all((degradation.h264_crf is None) != (degradation.jpeg_quality is None) for degradation in drawn)
    assert np.mean([degradation.h264_crf is not None for degradation in drawn]) == pytest.approx(share, abs=0.1)


def test_sampled_geometry_stays_within_its_limits() -> None:
    rng, config = np.random.default_rng(0), AugmentConfig(rotation_degrees=15, box_jitter=0.1)
    drawn = [sample_geometry(config, rng) for _ in range(200)]
    assert max(abs(geometry.roll_degrees) for geometry in drawn) <= 15
    assert all(0.9 < geometry.scale < 1.11 and abs(geometry.shift[0]) <= 0.05 for geometry in drawn)
    assert {geometry.flip for geometry in drawn} == {True, False}


def test_flip_mirrors_the_crop(crops: list[Image]) -> None:
    assert np.array_equal(Geometry(flip=True).finish(crops[0]), crops[0][:, ::-1])


def test_scaled_face_keeps_its_centre() -> None:
    moved = Geometry(scale=1.2).move(FACE)
    assert moved.box.center == pytest.approx(FACE.box.center)
    assert moved.box.width == pytest.approx(1.2 * 224)
