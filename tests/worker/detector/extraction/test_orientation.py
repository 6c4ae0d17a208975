"""Display matrices: all eight orientations of a stored picture."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.clips import Image, encode, film, set_matrix, speaker
from worker.detector.config import ClipLimits
from worker.detector.extraction.sampling import Window
from worker.detector.extraction.video import open_clip

# Matrix (a, b, c, d) of x' = a x + c y, y' = b x + d y, and how to store a picture that it sets upright.
ORIENTATIONS: dict[str, tuple[tuple[int, int, int, int], Callable[[Image], Image], tuple[int, bool]]] = {
    "none": ((1, 0, 0, 1), lambda image: image, (0, False)),
    "90": ((0, 1, -1, 0), lambda image: np.rot90(image, 1), (90, False)),
    "180": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2), (180, False)),
    "270": ((0, -1, 1, 0), lambda image: np.rot90(image, 3), (270, False)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1], (0, True)),
    "upside down": ((1, 0, 0, -1), lambda image: image[::-1], (180, True)),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2), (270, True)),
    "anti-transposed": ((0, -1, -1, 0), lambda image: image[::-1, ::-1].transpose(1, 0, 2), (90, True)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_picture_of_any_display_matrix_is_upright(tmp_path: Path, name: str) -> None:
    matrix, store, (degrees, mirrored) = ORIENTATIONS[name]
    path = encode(tmp_path / "clip.mp4", film(lambda seconds: store(speaker(seconds)), seconds=0.4))
    set_matrix(path, matrix)
    with path.open("rb") as file, open_clip(file, ClipLimits()) as clip:
        (frame, *_) = clip.read_window(0, Window(0, 0), 8)
    assert (clip.info.width, clip.info.height) == (640, 480)
    assert (clip.info.rotation_degrees, clip.info.mirrored) == (degrees, mirrored)
    assert np.abs(frame.image.astype(int) - speaker(0.0)).mean() < 4
