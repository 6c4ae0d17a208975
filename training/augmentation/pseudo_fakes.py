"""Pseudo-fakes of real faces: a face blended into itself (Shiohara and Yamasaki, CVPR 2022), or a warped donor face.

A blend is drawn once per clip. Over the frames it drifts slowly and jitters, as the output of a generator does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from training.augmentation.augment import Degradation, Rng, degrade
from training.config import BlendConfig
from training.data.landmarks import REGIONS
from worker.detector.types import Face, Floats, Image

_MASK_PX = 96
"""Side of the mask while it is drawn; soft masks need no more pixels."""
_MASK_SCALE = 1.4
"""Side of the mask, in widths of the face box."""
_FIELD_PX = 6
"""Side of the grid of random displacements that deform a mask."""
_WHOLE_INSET_PX = 2
"""Distance of the region "whole" from the sides of the mask, for its soft edge."""
_WARP_POINTS = 33
"""Side of the grid on which a warp is computed before interpolation."""
_SHAPES_WITHOUT_LANDMARKS = {
    "face": (0.5, 0.56, 0.40, 0.48),
    "inner": (0.5, 0.52, 0.33, 0.36),
    "lower": (0.5, 0.76, 0.34, 0.28),
    "mouth": (0.5, 0.76, 0.20, 0.13),
    "eyes": (0.5, 0.38, 0.34, 0.15),
    "ellipse": (0.5, 0.55, 0.40, 0.46),
}
"""Centre and semi-axes (x, y, x, y) of the regions, in widths of BlazeFace's box."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceImage:
    """Real face: its image (H, W, 3), its box, and its landmarks (POINTS, 2) in pixels, or None."""

    image: Image
    face: Face
    points: Floats | None
    generated: Image | None = None
    """The image with a face that went through a generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Parameters of a pseudo-fake. Lengths are in widths of the face."""

    kind: Literal["self", "swap", "generator"]
    region: str
    grow: float
    bend: float
    feather: float
    opacity: float
    shift: tuple[float, float]
    scale: float
    rotation_degrees: float
    change: Degradation
    changes_source: bool
    """True changes the face, False its surroundings."""
    sharpen: float
    match_colours: float
    """Degree to which the source takes the colours of the area that it covers, 0 to 1."""
    seed: int


def sample_blend(config: BlendConfig, rng: Rng) -> Blend:
    """Draw the blend of a clip."""
    if rng.random() < config.generator:
        return _sample_generator_blend(config, rng)
    is_swap = bool(rng.random() < config.swap)
    region = "face" if is_swap and rng.random() < 0.6 else _sample_region(config, rng)
    return Blend(
        kind="swap" if is_swap else "self",
        region=region,
        grow=float(rng.uniform(0.85, 1.15)),
        bend=float(rng.uniform(0.0, 0.06)),
        feather=float(rng.choice([0.01, 0.02, 0.04, 0.07]) * rng.uniform(0.7, 1.4)),
        opacity=float(rng.choice([0.5, 0.75, 1.0, 1.0, 1.0])),
        shift=(float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.02, 0.02))),
        scale=float(rng.uniform(0.95, 1.05)),
        rotation_degrees=float(rng.uniform(-2, 2)),
        change=_sample_change(rng),
        changes_source=bool(rng.random() < 0.6),
        sharpen=float(rng.uniform(0.3, 1.2)) if rng.random() < 0.2 else 0.0,
        match_colours=float(rng.uniform(0.5, 1.0)) if is_swap else float(rng.choice([0.0, 0.0, 0.8])),
        seed=int(rng.integers(2**31)),
    )


def _sample_generator_blend(config: BlendConfig, rng: Rng) -> Blend:
    """Draw a blend of a face that went through a generator: in its place, often unchanged and opaque."""
    return Blend(
        kind="generator",
        region="whole" if rng.random() < config.whole else _sample_region(config, rng),
        grow=float(rng.uniform(0.85, 1.15)),
        bend=float(rng.uniform(0.0, 0.06)),
        feather=float(rng.choice([0.01, 0.02, 0.04, 0.07]) * rng.uniform(0.7, 1.4)),
        opacity=1.0 if rng.random() < 0.7 else float(rng.uniform(0.6, 1.0)),
        shift=(0.0, 0.0),
        scale=1.0,
        rotation_degrees=0.0,
        change=_sample_change(rng) if rng.random() < 0.4 else Degradation(),
        changes_source=True,
        sharpen=float(rng.uniform(0.3, 1.2)) if rng.random() < 0.2 else 0.0,
        match_colours=float(rng.choice([0.0, 0.8])),
        seed=int(rng.integers(2**31)),
    )


def _sample_region(config: BlendConfig, rng: Rng) -> str:
    names = list(config.regions)
    shares = np.array([config.regions[name] for name in names])
    return names[rng.choice(len(names), p=shares / shares.sum())]


def blend_clip(
    targets: Sequence[FaceImage], donors: Sequence[FaceImage], blend: Blend
) -> tuple[list[Image], list[Image]]:
    """Make a pseudo-fake of a clip, and the real clip of the pair.

    Args:
        targets: Frames of a real clip. A blend with a generator needs all of them ``generated``, else it becomes a
            self-blend.
        donors: Frames of another person, all with landmarks, for a swap. Without donors a swap becomes a self-blend.
        blend: Parameters of the pseudo-fake.

    Returns:
        Reals and fakes, each of the sizes of the targets. If the blend changes the surroundings, the reals have this
        change too, so that the two differ only in the blend.
    """
    if blend.kind == "swap" and not (donors and all(face_image.points is not None for face_image in targets)):
        blend = replace(blend, kind="self")
    if blend.kind == "generator" and any(target.generated is None for target in targets):
        blend = replace(blend, kind="self", region="face" if blend.region == "whole" else blend.region)
    rng = np.random.default_rng(blend.seed)
    fields = [rng.standard_normal((_FIELD_PX, _FIELD_PX, 2)).astype(np.float32) for _ in range(2)]
    reals, fakes = [], []
    for index, target in enumerate(targets):
        progress = index / max(len(targets) - 1, 1)
        field = (1 - 0.5 * progress) * fields[0] + 0.5 * progress * fields[1]
        jittered = _jitter(blend, rng) if len(targets) > 1 else blend
        donor = donors[index % len(donors)] if jittered.kind == "swap" else None
        real, fake = _blend_frame(target, donor, jittered, field)
        reals.append(real)
        fakes.append(fake)
    return reals, fakes


def _sample_change(rng: Rng) -> Degradation:
    def happens(probability: float) -> bool:
        return bool(rng.random() < probability)

    tint = tuple(rng.uniform(-18, 18, 3).tolist()) if happens(0.5) else (0.0, 0.0, 0.0)
    return Degradation(
        tint=tint,
        brightness=float(rng.uniform(-22, 22)) if happens(0.5) else 0.0,
        contrast=float(rng.uniform(0.85, 1.15)) if happens(0.5) else 1.0,
        saturation=float(rng.uniform(0.7, 1.3)) if happens(0.5) else 1.0,
        small_scale=float(rng.uniform(0.3, 0.9)) if happens(0.5) else 1.0,
        blur_sigma_px=float(rng.uniform(0.4, 1.6)) if happens(0.2) else 0.0,
        noise_sigma=float(rng.uniform(1, 5)) if happens(0.1) else 0.0,
        jpeg_quality=int(rng.integers(40, 90)) if happens(0.15) else None,
        seed=int(rng.integers(2**31)),
    )


def _jitter(blend: Blend, rng: Rng) -> Blend:
    """Return the blend with a small random change, drawn per frame because generators work frame by frame."""
    x, y, rotation, light = rng.normal(0, [0.004, 0.004, 0.3, 1.0])
    change = replace(blend.change, brightness=blend.change.brightness + float(light), seed=int(rng.integers(2**31)))
    return replace(
        blend,
        shift=(blend.shift[0] + float(x), blend.shift[1] + float(y)),
        rotation_degrees=blend.rotation_degrees + float(rotation),
        change=change,
    )


def _blend_frame(target: FaceImage, donor: FaceImage | None, blend: Blend, field: Floats) -> tuple[Image, Image]:
    real, source = target.image, target.image
    if blend.kind == "generator":
        assert target.generated is not None
        source = target.generated
    if donor is not None:
        source = warp_face(donor, target)
    changed = _sharpen(degrade([source if blend.changes_source else real], blend.change)[0], blend.sharpen)
    if blend.changes_source:
        source = changed
    else:
        real = changed
    mask = _render_mask(target, blend, field)
    if donor is None:
        matrix = cv2.getRotationMatrix2D(target.face.box.center, blend.rotation_degrees, blend.scale)
        matrix[:, 2] += np.multiply(blend.shift, target.face.box.width)
        source, mask = (_transform(image, matrix) for image in (source, mask))
    if blend.match_colours:
        source = _match_colours(source, real, mask, blend.match_colours)
    share = mask.astype(np.float32) * np.float32(blend.opacity / 255)
    return real, cv2.blendLinear(source, real, share, 1 - share).astype(np.uint8)


def _transform(image: Image, matrix: np.ndarray) -> Image:
    size = (image.shape[1], image.shape[0])
    border = cv2.BORDER_REFLECT_101 if image.ndim == 3 else cv2.BORDER_CONSTANT
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border).astype(np.uint8)


def _render_mask(target: FaceImage, blend: Blend, field: Floats) -> Image:
    """Return the mask of the blended area, (H, W) uint8, with a soft edge."""
    box = target.face.box
    side = box.width * _MASK_SCALE
    corner = np.subtract(box.center, side / 2)
    small = np.zeros((_MASK_PX, _MASK_PX), np.uint8)
    unit = _MASK_PX / side
    points = None if target.points is None or blend.region == "ellipse" else (target.points - corner) * unit
    if blend.region == "whole":
        small[_WHOLE_INSET_PX:-_WHOLE_INSET_PX, _WHOLE_INSET_PX:-_WHOLE_INSET_PX] = 255
    elif points is None:
        x, y, half_width, half_height = np.multiply(_SHAPES_WITHOUT_LANDMARKS[blend.region], box.width)
        middle = (np.array([box.x + x, box.y + y]) - corner) * unit
        axes = np.multiply([half_width, half_height], blend.grow * unit)
        cv2.ellipse(small, (tuple(middle.tolist()), tuple((2 * axes).tolist()), 0.0), 255, cv2.FILLED)
    else:
        cv2.fillPoly(small, [np.round(_compute_hull(points, blend)).astype(np.int32)], 255)
    bend = cv2.resize(field, (_MASK_PX, _MASK_PX), interpolation=cv2.INTER_CUBIC) * (blend.bend * box.width * unit)
    grid = np.stack(np.meshgrid(np.arange(_MASK_PX), np.arange(_MASK_PX)), axis=-1).astype(np.float32)
    small = _remap(small, grid + bend)
    small = cv2.GaussianBlur(small, (0, 0), max(blend.feather * box.width * unit, 0.5)).astype(np.uint8)
    to_image = np.array([[1 / unit, 0, corner[0]], [0, 1 / unit, corner[1]]])
    size = (target.image.shape[1], target.image.shape[0])
    return cv2.warpAffine(small, to_image, size, flags=cv2.INTER_LINEAR).astype(np.uint8)


def _compute_hull(points: Floats, blend: Blend) -> Floats:
    """Return the convex hull of a region, scaled about its centre."""
    inner = ["right_brow", "left_brow", "right_eye", "left_eye", "nose", "lips"]
    names = {"face": ["oval"], "inner": inner, "mouth": ["lips"], "eyes": inner[:4], "lower": ["lips", "oval"]}
    chosen = np.concatenate([points[REGIONS[name]] for name in names[blend.region]])
    growth = blend.grow
    if blend.region == "face" and blend.seed % 2:
        chosen = _points_below(chosen, points[REGIONS["right_brow"]].min(0), points)  # without the forehead
    if blend.region == "lower":
        chosen = _points_below(chosen, points[REGIONS["nose"]].mean(0), points)
    if blend.region in {"mouth", "eyes"}:
        growth *= 1.35
    hull: Floats = cv2.convexHull(chosen.astype(np.float32))[:, 0].astype(np.float32)
    middle = hull.mean(0)
    return np.asarray((hull - middle) * growth + middle, np.float32)


def _points_below(chosen: Floats, limit: Floats, points: Floats) -> Floats:
    """Return the points below a limit, along the axis from nose to lips; all points if fewer than three are left."""
    down = points[REGIONS["lips"]].mean(0) - points[REGIONS["nose"]][0]
    kept = chosen[(chosen - limit) @ down >= 0]
    return kept if len(kept) >= 3 else chosen


def warp_face(donor: FaceImage, target: FaceImage) -> Image:
    """Warp a donor's face to the shape of the target's, by a thin-plate spline of landmarks (Bookstein, 1989).

    Both need landmarks. Returns an image of the size of the target's.
    """
    assert donor.points is not None
    assert target.points is not None
    ends, starts = target.points[::4].astype(np.float64), donor.points[::4].astype(np.float64)
    height, width = target.image.shape[:2]
    unit = float(target.face.box.width)  # normalised, for numerical stability
    ends = ends / unit
    corners = np.concatenate([np.ones((len(ends), 1)), ends], axis=1)
    system = np.block([[_plate_kernel(ends, ends) + 1e-3 * np.eye(len(ends)), corners], [corners.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.concatenate([starts, np.zeros((3, 2))]))
    x, y = np.linspace(0, width - 1, _WARP_POINTS), np.linspace(0, height - 1, _WARP_POINTS)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2) / unit
    positions = np.concatenate([_plate_kernel(grid, ends), np.ones((len(grid), 1)), grid], axis=1) @ weights
    coarse = positions.reshape(_WARP_POINTS, _WARP_POINTS, 2).astype(np.float32)
    scale = (_WARP_POINTS - 1) / np.array([width - 1, height - 1])
    back = np.array([[scale[0], 0, 0], [0, scale[1], 0]])
    full = cv2.warpAffine(coarse, back, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return _remap(donor.image, full)


def _remap(image: Image, positions: np.ndarray) -> Image:
    """Sample an image at positions (H, W, 2)."""
    x, y = (np.ascontiguousarray(positions[..., axis], np.float32) for axis in (0, 1))
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101).astype(np.uint8)


def _plate_kernel(positions: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return the kernel r^2 log r^2 of a thin-plate spline between positions (N, 2) and knots (K, 2)."""
    squared = ((positions[:, None] - knots[None]) ** 2).sum(-1)
    result: np.ndarray = squared * np.log(squared + 1e-12)
    return result


def _match_colours(source: Image, real: Image, mask: Image, share: float) -> Image:
    """Match mean and deviation of each channel under the mask to the real (Reinhard et al., 2001, in RGB)."""
    if not (mask > 127).any():
        return source
    inside = (mask > 127).astype(np.uint8)
    (source_mean, source_std), (real_mean, real_std) = (cv2.meanStdDev(image, mask=inside) for image in (source, real))
    gain = 1 + share * (np.clip(real_std / np.maximum(source_std, 1.0), 0.5, 2.0).ravel() - 1)
    shift = source_mean.ravel() * (1 - gain) + share * (real_mean - source_mean).ravel()
    return cv2.transform(source, np.column_stack([np.diag(gain), shift])).astype(np.uint8)


def _sharpen(image: Image, amount: float) -> Image:
    if not amount:
        return image
    soft = cv2.GaussianBlur(image, (0, 0), 1.5)
    return cv2.addWeighted(image, 1 + amount, soft, -amount, 0).astype(np.uint8)
