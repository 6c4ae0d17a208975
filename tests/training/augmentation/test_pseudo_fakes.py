"""Pseudo-fakes: changed inside of a mask, equal outside, with small changes over a clip."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.support.clips import speaker
from training.augmentation.augment import Degradation
from training.augmentation.pseudo_fakes import Blend, FaceImage, blend_clip, sample_blend
from training.config import BlendConfig
from training.data.landmarks import POINTS, REGIONS
from worker.detector.types import Box, Face, Floats

FACE = Face(Box(208, 132, 224, 224), confidence=1.0)


def make_landmarks(face: Face) -> Floats:
    """Return an oval with eyes, brows, nose and lips at the positions of a face."""
    points = np.zeros((POINTS, 2), np.float32)
    places = {
        "oval": (0.5, 0.55, 0.38, 0.45),
        "right_brow": (0.33, 0.3, 0.1, 0.02),
        "left_brow": (0.67, 0.3, 0.1, 0.02),
        "right_eye": (0.33, 0.4, 0.08, 0.03),
        "left_eye": (0.67, 0.4, 0.08, 0.03),
        "nose": (0.5, 0.55, 0.06, 0.1),
        "lips": (0.5, 0.77, 0.15, 0.06),
    }
    for name, (x, y, half_width, half_height) in places.items():
        count = REGIONS[name].stop - REGIONS[name].start
        angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
        points[REGIONS[name]] = np.stack([x + half_width * np.sin(angles), y - half_height * np.cos(angles)], axis=-1)
    box = face.box
    return points * np.float32(box.width) + np.array([box.x, box.y], np.float32)


def make_clip(count: int = 1, *, with_landmarks: bool = True) -> list[FaceImage]:
    points = make_landmarks(FACE) if with_landmarks else None
    return [FaceImage(speaker(index / 25), FACE, points) for index in range(count)]


def make_blend(**changes: object) -> Blend:
    values = {
        "kind": "self", "region": "face", "grow": 1.0, "bend": 0.02, "feather": 0.02, "opacity": 1.0,
        "shift": (0.02, 0.0), "scale": 1.03, "rotation_degrees": 1.0, "change": Degradation(tint=(15.0, 0.0, -15.0)),
        "changes_source": True, "sharpen": 0.0, "match_colours": 0.0, "seed": 0,
    }  # fmt: skip
    return Blend(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("with_landmarks", [True, False])
@pytest.mark.parametrize("region", list(BlendConfig().regions))
def test_blend_changes_only_its_region(region: str, with_landmarks: bool) -> None:
    (target,) = make_clip(with_landmarks=with_landmarks)
    (real,), (fake,) = blend_clip([target], [], make_blend(region=region))
    assert np.array_equal(real, target.image)
    difference = np.abs(fake.astype(int) - real).max(-1)
    box = FACE.box
    outside = np.ones_like(difference, bool)
    left, top, right, bottom = (round(side) for side in (box.x, box.y, box.x + box.width, box.y + box.height))
    outside[max(top - 40, 0) : bottom + 50, max(left - 40, 0) : right + 40] = False
    assert difference[outside].max() == 0
    assert difference[~outside].max() > 10


def test_changed_surroundings_are_in_the_real_too() -> None:
    (target,) = make_clip()
    (real,), (fake,) = blend_clip([target], [], make_blend(changes_source=False))
    assert np.abs(real.astype(int) - target.image).mean() > 3
    assert np.array_equal(real[:40, :40], fake[:40, :40])


def test_blend_changes_little_between_frames() -> None:
    still = make_clip() * 8
    _, fakes = blend_clip(still, [], make_blend())
    steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(fakes)]
    whole = np.abs(fakes[0].astype(int) - still[0].image).mean()
    assert min(steps) > 0
    assert max(steps) < whole


def test_swap_replaces_the_face_and_keeps_the_hair() -> None:
    (target,) = make_clip()
    donor = FaceImage(np.ascontiguousarray(target.image[:, :, ::-1]), FACE, make_landmarks(FACE))
    _, (fake,) = blend_clip([target], [donor], make_blend(kind="swap", change=Degradation()))
    middle = fake[230:250, 310:330].astype(int)
    assert (
        np.abs(middle - donor.image[230:250, 310:330]).mean() < np.abs(middle - target.image[230:250, 310:330]).mean()
    )
    assert np.array_equal(fake[:60], target.image[:60])


def test_swap_without_donor_becomes_a_self_blend() -> None:
    (target,) = make_clip()
    _, (fake,) = blend_clip([target], [], make_blend(kind="swap"))
    assert np.abs(fake.astype(int) - target.image).max() > 10


@pytest.mark.parametrize("region", ["face", "whole"])
def test_generated_face_is_blended_into_its_region(region: str) -> None:
    (target,) = make_clip()
    generated = replace(target, generated=255 - target.image)
    blend = make_blend(kind="generator", region=region, shift=(0.0, 0.0), scale=1.0, rotation_degrees=0.0,
                       change=Degradation())  # fmt: skip
    (real,), (fake,) = blend_clip([generated], [], blend)
    assert np.array_equal(real, target.image)
    middle = slice(230, 250), slice(310, 330)
    assert np.abs(fake[middle].astype(int) - (255 - target.image[middle])).max() <= 1
    assert np.array_equal(fake[:, :100], real[:, :100])
    beside_the_face = fake[300, 200].astype(int) - real[300, 200]
    assert beside_the_face.any() == (region == "whole")


def test_clip_without_generated_face_becomes_a_self_blend() -> None:
    (target,) = make_clip()
    _, (fake,) = blend_clip([target], [], make_blend(kind="generator", region="whole"))
    assert np.abs(fake.astype(int) - target.image).max() > 10
    assert np.array_equal(fake[300, 200], target.image[300, 200])


def test_matched_colours_are_closer_to_the_covered_area() -> None:
    (target,) = make_clip()
    results = [
        blend_clip([target], [], make_blend(match_colours=share, shift=(0.0, 0.0), scale=1.0, rotation_degrees=0.0))[1][
            0
        ]
        for share in (0.0, 1.0)
    ]
    plain, matched = (np.abs(fake.astype(int) - target.image).mean() for fake in results)
    assert matched < plain


def test_blend_repeats_with_its_seed() -> None:
    blend = sample_blend(BlendConfig(), np.random.default_rng(5))
    first, again = (blend_clip(make_clip(3), make_clip(1), blend)[1] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_sample_blend_draws_every_kind_and_region() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_blend(BlendConfig(), rng) for _ in range(400)]
    assert {blend.kind for blend in drawn} == {"self", "swap"}
    assert {blend.region for blend in drawn} == set(BlendConfig().regions)
    generated = [sample_blend(BlendConfig(generator=1.0, whole=0.5), rng) for _ in range(100)]
    assert {blend.kind for blend in generated} == {"generator"}
    assert 30 < sum(blend.region == "whole" for blend in generated) < 70
