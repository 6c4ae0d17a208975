"""Renderers of the clips of demo and tests, from the public-domain NASA photograph in scikit-image's wheel.

Run as a program, it renders the clip of the demo and a self-blended copy: ``python -m tests.support.clips CLIP COPY``.
"""

import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.stream import Disposition
from av.video.stream import VideoStream

from training.augmentation.augment import Degradation
from training.augmentation.pseudo_fakes import Blend, FaceImage, blend_clip
from worker.detector.types import Box, Face

Image = npt.NDArray[np.uint8]  # (H, W, 3) RGB

WIDTH, HEIGHT, FPS = 640, 480, 25
_QUALITY = {"crf": "20", "preset": "veryfast"}
_FACE_X, _FACE_Y = 225.0, 118.0
"""Center of the face in the photograph of 512 x 512 pixels. The face is about 100 pixels wide."""
_FACE_BOX = Box(208, 132, 224, 224)
"""Approximate box of the face detector in ``speaker``. The camera follows the face."""


@cache
def _load_photograph() -> Image:
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    # Only the file is read: importing the package would require SciPy.
    picture = cv2.imread(str(Path(spec.origin).with_name("data") / "astronaut.png"))
    assert picture is not None
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def speaker(seconds: float, *, zoom: float = 2.0, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """Render the face at a time, as a slightly moving camera records it."""
    scale = zoom * (1 + 0.04 * np.sin(seconds))
    x = _FACE_X + 6 * np.sin(1.7 * seconds)
    y = _FACE_Y + 4 * np.cos(1.3 * seconds)
    matrix = np.array([[scale, 0, width / 2 - scale * x], [0, scale, height / 2 - scale * y]])
    image = cv2.warpAffine(
        _load_photograph(), matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
    )
    return image.astype(np.uint8)


def small_speaker(seconds: float) -> Image:
    """Render the face at 352x288 pixels, as old telephones did."""
    return speaker(seconds, zoom=1.2, width=352, height=288)


def self_blended(seconds: float) -> Image:
    """Render the face blended into itself: warmer, coarser and slightly larger than its surroundings."""
    image = speaker(seconds)
    change = Degradation(tint=(16.0, 2.0, -14.0), contrast=1.1, small_scale=0.5)
    blend = Blend(
        kind="self", region="inner", grow=1.0, bend=0.03, feather=0.02, opacity=1.0, shift=(0.02, 0.0), scale=1.05,
        rotation_degrees=1.0, change=change, changes_source=True, sharpen=0.0, match_colours=0.0, seed=0,
    )  # fmt: skip
    _, (fake,) = blend_clip([FaceImage(image, Face(_FACE_BOX, confidence=1.0), None)], [], blend)
    return fake


def two_people(seconds: float) -> Image:
    """Render the face, and next to it a mirrored one with swapped colours."""
    left = speaker(seconds, zoom=1.5, width=WIDTH // 2)
    right = speaker(seconds + 1, zoom=1.3, width=WIDTH // 2)[:, ::-1, ::-1]
    return np.concatenate([left, right], axis=1)


def padded(scene: Callable[[float], Image], width: int, height: int) -> Callable[[float], Image]:
    """Return a scene in the middle of a larger grey picture."""

    def render(seconds: float) -> Image:
        image = scene(seconds)
        picture = np.full((height, width, 3), 70, np.uint8)
        y, x = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
        picture[y : y + image.shape[0], x : x + image.shape[1]] = image
        return picture

    return render


def gallery(seconds: float) -> Image:
    """Render a call of 25 people in 1080p, with faces of about 77 pixels."""
    tiles = [speaker(seconds + number, zoom=0.72, width=384, height=216) for number in range(25)]
    return np.concatenate([np.concatenate(tiles[row : row + 5], axis=1) for row in range(0, 25, 5)])


def four_people(seconds: float) -> Image:
    """Render four shots of three seconds: a face in four colours."""
    tint = [(1.0, 1.0, 1.0), (0.5, 0.9, 1.0), (1.0, 0.6, 0.4), (0.45, 0.5, 0.45)][min(int(seconds / 3), 3)]
    backgrounds = [40, 200, 90, 240]
    image = (speaker(seconds) * tint).astype(np.uint8)
    image[:, :100] = image[:, -100:] = backgrounds[min(int(seconds / 3), 3)]
    return image


def no_face(seconds: float) -> Image:
    """Render moving waves."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    waves = [127 + 90 * np.sin(x / (17 + 3 * channel) + y / 23 + seconds) for channel in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def dark(seconds: float) -> Image:
    """Render the face at 6 % brightness."""
    return (speaker(seconds) * 0.06).astype(np.uint8)


def blurred(seconds: float) -> Image:
    """Render the face strongly out of focus."""
    return cv2.GaussianBlur(speaker(seconds, zoom=1.2), (0, 0), 10).astype(np.uint8)


def tiny(seconds: float) -> Image:
    """Render the face in a clip of thumbnail size."""
    return speaker(seconds, zoom=0.24, width=160, height=120)


def encode(
    path: Path,
    images: Iterable[tuple[int, Image]],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    gop_frames: int = 50,
    time_base: Fraction = Fraction(1, FPS),
    **stream_settings: object,
) -> Path:
    """Encode images with their presentation times, in units of the time base."""
    settings = {"x265-params": "log-level=none", "preset": "ultrafast"} if codec == "libx265" else {}
    with av.open(path, "w") as container:
        stream = cast("VideoStream", container.add_stream(codec, rate=FPS, options=_QUALITY | settings))
        stream.pix_fmt = pixel_format
        stream.gop_size = gop_frames
        stream.codec_context.time_base = time_base
        for name, value in stream_settings.items():
            setattr(stream.codec_context, name, value)
        for pts, image in images:
            if not stream.codec_context.is_open:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = pts, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def two_films(
    path: Path, first: Iterable[tuple[int, Image]], second: Iterable[tuple[int, Image]], *, default: int
) -> Path:
    """Encode two video streams, one of which is the default."""
    with av.open(path, "w") as container:
        films = [list(first), list(second)]
        streams = []
        for index, images in enumerate(films):
            stream = container.add_stream("libx264", rate=FPS, options=_QUALITY)
            stream.pix_fmt, stream.gop_size = "yuv420p", 50
            stream.height, stream.width = images[0][1].shape[:2]
            stream.disposition = Disposition.default if index == default else Disposition(0)
            streams.append(stream)
        for stream, images in zip(streams, films, strict=True):
            for pts, image in images:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = pts, Fraction(1, FPS)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def film(scene: Callable[[float], Image], *, seconds: float = 4.0) -> Iterator[tuple[int, Image]]:
    """Yield the frames of a scene at a constant frame rate."""
    for index in range(int(seconds * FPS)):
        yield index, scene(index / FPS)


def rotated(path: Path) -> Path:
    """Write a speaker clip as phones store it: rotated by 90 degrees, with a matrix that says so."""
    encode(path, film(lambda seconds: np.rot90(speaker(seconds, width=HEIGHT, height=WIDTH)).copy()))
    return set_matrix(path, (0, 1, -1, 0))


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a transformation matrix (a, b, c, d) into the track header of an MP4 (ISO/IEC 14496-12, 8.3.2)."""
    a, b, c, d = (value << 16 for value in matrix)
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") - 4 + 48
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def variable_frame_rate(path: Path) -> Path:
    """Write frames at uneven times, as screen recorders and phones store them."""
    steps = [1, 3, 2, 7, 1, 1, 5]
    times = np.cumsum([steps[index % len(steps)] for index in range(90)]).tolist()
    images = [(time, speaker(time / 100)) for time in [0, *times]]
    return encode(path, images, time_base=Fraction(1, 100))


def truncated(path: Path) -> Path:
    """Write the first half of an MP4. The index at its end is missing."""
    content = encode(path, film(speaker)).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def damaged(path: Path) -> Path:
    """Write an MP4 with noise over a part of its frames, as from a damaged disk."""
    content = bytearray(encode(path, film(speaker)).read_bytes())
    middle = len(content) // 2
    noise = np.random.default_rng(0).integers(0, 256, len(content) // 8, dtype=np.uint8)
    content[middle : middle + len(noise)] = noise.tobytes()
    path.write_bytes(content)
    return path


def encrypted(path: Path) -> Path:
    """Write an MP4 whose sample entry declares protection (ISO/IEC 23001-7)."""
    content = encode(path, film(speaker, seconds=1)).read_bytes()
    content = content.replace(b"avc1", b"encv").replace(b"btrt", b"sinf")
    path.write_bytes(content)
    return path


def audio_only(path: Path) -> Path:
    """Write an MP4 with a tone and no video."""
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        tone = (0.2 * np.sin(np.arange(16000, dtype=np.float32) / 10)).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    for target, scene in zip(map(Path, sys.argv[1:]), (speaker, self_blended), strict=False):
        target.parent.mkdir(parents=True, exist_ok=True)
        encode(target, film(scene))
