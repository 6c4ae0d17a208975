"""Changed copies of videos, as users and websites make them: re-encoded, smaller, cut, mirrored, darker."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from training.augmentation.augment import Degradation
from training.errors import TrainingError


class UnreadableVideoError(TrainingError):
    """The video cannot be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Settings for one re-encoding of a video with H.264."""

    crf: int = 20
    scale: float = 1.0
    brightness: float = 0.0  # of 255
    flip: bool = False
    cut: float = 0.0
    """Share of width and height that is cut off at each side."""


VARIANTS = {
    "encoded again, CRF 20": Variant(),
    "medium bit rate, CRF 28": Variant(crf=28),
    "low bit rate, CRF 36": Variant(crf=36),
    "half resolution": Variant(scale=0.5),
    "darkened by 50": Variant(brightness=-50),
    "brightened by 50": Variant(brightness=50),
    "mirrored": Variant(flip=True),
    "cut by 10 % at each side": Variant(cut=0.1),
}
"""Changes of videos for the robustness table."""
UPLOADS = ["encoded again, CRF 20", "medium bit rate, CRF 28", "low bit rate, CRF 36", "half resolution"]
"""Changes that uploads of users often have; a calibration includes them."""
DEGRADATIONS = {
    "JPEG quality 50": Degradation(jpeg_quality=50),
    "JPEG quality 30": Degradation(jpeg_quality=30),
    "blur, sigma 1 px": Degradation(blur_sigma_px=1.0),
    "half size": Degradation(small_scale=0.5),
    "noise, sigma 5 of 255": Degradation(noise_sigma=5.0),
}
"""Degradations of crops for the robustness table."""
UPLOADED_CROPS = ["JPEG quality 50", "JPEG quality 30", "half size"]
"""Degradations of crops that stand for uploads of users."""


def encode_variant(source: Path, out: Path, variant: Variant) -> None:
    """Re-encode a video without sound, with its rotation applied. Raises UnreadableVideoError."""
    try:
        with av.open(source) as old, av.open(out, "w") as new:
            source_stream = old.streams.video[0]
            options = {"crf": str(variant.crf), "preset": "veryfast"}
            rate = source_stream.average_rate or Fraction(25)
            stream = new.add_stream("libx264", rate=rate, options=options)
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, 90_000)
            for frame in old.decode(source_stream):
                if frame.pts is None or frame.time_base is None or frame.time is None:
                    continue
                changed = av.VideoFrame.from_ndarray(_change_frame(frame, variant), format="rgb24")
                if not stream.codec_context.is_open:
                    stream.width, stream.height = changed.width, changed.height
                changed.pts, changed.time_base = round(frame.time * 90_000), Fraction(1, 90_000)
                new.mux(stream.encode(changed))
            new.mux(stream.encode(None))
    except (av.error.FFmpegError, IndexError, OSError, ValueError) as error:
        raise UnreadableVideoError(f"{source} cannot be re-encoded: {error}") from error


def _change_frame(frame: av.VideoFrame, variant: Variant) -> np.ndarray:
    width, height = (max(round(side * variant.scale) // 2 * 2, 2) for side in (frame.width, frame.height))
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height)
    if variant.brightness:
        pixels = np.clip(pixels.astype(np.float32) + variant.brightness, 0, 255).astype(np.uint8)
    pixels = np.rot90(pixels, round(frame.rotation / 90))
    rows, columns = (round(side * variant.cut) for side in pixels.shape[:2])
    kept = pixels[rows : pixels.shape[0] - rows, columns : pixels.shape[1] - columns]
    even = kept[: kept.shape[0] // 2 * 2, : kept.shape[1] // 2 * 2]
    return np.ascontiguousarray(even[:, ::-1] if variant.flip else even)
