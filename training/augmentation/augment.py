"""Photometric and compression augmentations of crops: light, blur, noise, downscaling, JPEG and H.264.

An augmentation is drawn once per clip. It is the same for all frames and for both sides of a pair, so that it does not
reveal the label.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from training.config import AugmentConfig
from worker.detector.types import Box, Face, Image

Rng = np.random.Generator

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Position of the crop relative to the face: small errors of the face detector, and mirroring."""

    flip: bool = False
    roll_degrees: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)  # in widths of the face

    def move(self, face: Face) -> Face:
        """Return the face, moved by this geometry."""
        side = face.box.width * self.scale
        x, y = face.box.center
        x, y = x + self.shift[0] * face.box.width, y + self.shift[1] * face.box.width
        box = Box(x - side / 2, y - side / 2, side, side)
        return Face(box, face.confidence, face.roll_degrees + self.roll_degrees)

    def finish(self, crop: Image) -> Image:
        """Return the crop, mirrored if ``flip`` is set."""
        return np.ascontiguousarray(crop[:, ::-1]) if self.flip else crop


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """Changes of the pixels of a crop; the defaults change nothing."""

    brightness: float = 0.0  # added, of 255
    contrast: float = 1.0
    saturation: float = 1.0
    tint: tuple[float, ...] = (0.0, 0.0, 0.0)  # added to red, green and blue
    small_scale: float = 1.0
    blur_sigma_px: float = 0.0
    noise_sigma: float = 0.0  # of 255
    jpeg_quality: int | None = None
    h264_crf: int | None = None
    seed: int = 0
    """Seed of the noise, which differs in each frame."""


def sample_geometry(config: AugmentConfig, rng: Rng) -> Geometry:
    """Draw the geometry of a clip."""
    jitter = config.box_jitter
    return Geometry(
        flip=bool(rng.random() < 0.5),
        roll_degrees=float(rng.uniform(-config.rotation_degrees, config.rotation_degrees)),
        scale=float(np.exp(rng.uniform(-jitter, jitter))),
        shift=(float(rng.uniform(-jitter, jitter) / 2), float(rng.uniform(-jitter, jitter) / 2)),
    )


def sample_degradation(config: AugmentConfig, rng: Rng) -> Degradation:
    """Draw the degradation of a clip, or of a single crop."""

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability)

    is_compressed = happens(config.compression)
    as_video = is_compressed and happens(config.h264)
    return Degradation(
        brightness=float(rng.uniform(-40, 40)) if happens(config.light) else 0.0,
        contrast=float(rng.uniform(0.7, 1.3)) if happens(config.light) else 1.0,
        saturation=float(rng.uniform(0.6, 1.4)) if happens(config.light) else 1.0,
        small_scale=float(rng.uniform(config.small_scale_min, 1)) if happens(config.small) else 1.0,
        blur_sigma_px=float(rng.uniform(0.3, config.blur_sigma_max_px)) if happens(config.blur) else 0.0,
        noise_sigma=float(rng.uniform(1, config.noise_sigma_max)) if happens(config.noise) else 0.0,
        jpeg_quality=int(rng.integers(config.jpeg_quality_min, 96)) if is_compressed and not as_video else None,
        h264_crf=int(rng.integers(18, config.h264_crf_max + 1)) if as_video else None,
        seed=int(rng.integers(2**31)),
    )


def degrade(crops: Sequence[Image], degradation: Degradation) -> list[Image]:
    """Degrade the crops (S, S, 3) uint8 of one clip, in the order of a camera and a video platform."""
    rng = np.random.default_rng(degradation.seed)
    steps: list[Callable[[Image], Image]] = [
        lambda crop: _change_light(crop, degradation),
        lambda crop: _shrink(crop, degradation.small_scale),
        lambda crop: _blur(crop, degradation.blur_sigma_px),
        lambda crop: _add_noise(crop, degradation.noise_sigma, rng),
        lambda crop: _compress_jpeg(crop, degradation.jpeg_quality),
    ]
    degraded = list(crops)
    for step in steps:
        degraded = [step(crop) for crop in degraded]
    return degraded if degradation.h264_crf is None else compress_h264(degraded, crf=degradation.h264_crf)


def compress_h264(crops: Sequence[Image], *, crf: int) -> list[Image]:
    """Compress and decode crops of even size with H.264 at a constant rate factor."""
    import av  # noqa: PLC0415 (training with augment.h264=0 runs without it)

    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width = crops[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for index, crop in enumerate(crops):
            frame = av.VideoFrame.from_ndarray(crop, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    memory.seek(0)
    with av.open(memory, "r") as encoded:
        frames = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in encoded.decode(video=0)]
    assert len(frames) == len(crops)
    return frames


def _change_light(crop: Image, degradation: Degradation) -> Image:
    offset = np.add(degradation.tint, degradation.brightness)
    if not offset.any() and degradation.contrast == degradation.saturation == 1.0:
        return crop
    grey = np.tile(_LUMA, (3, 1))
    mix = degradation.contrast * (grey + degradation.saturation * (np.eye(3) - grey))
    shift = offset + 128 * (1 - degradation.contrast)
    return cv2.transform(crop, np.column_stack([mix, shift])).astype(np.uint8)


def _shrink(crop: Image, scale: float) -> Image:
    if scale == 1.0:
        return crop
    side = max(round(crop.shape[0] * scale), 8)
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (crop.shape[1], crop.shape[0]), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _blur(crop: Image, sigma_px: float) -> Image:
    return cv2.GaussianBlur(crop, (0, 0), sigma_px).astype(np.uint8) if sigma_px else crop


def _add_noise(crop: Image, sigma: float, rng: Rng) -> Image:
    if not sigma:
        return crop
    noise = rng.standard_normal(crop.shape, np.float32) * sigma
    return cv2.add(crop, noise, dtype=cv2.CV_8U).astype(np.uint8)


def _compress_jpeg(crop: Image, quality: int | None) -> Image:
    if quality is None:
        return crop
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8)
