"""Face landmarks of real crops, extracted once and stored, for the masks of pseudo-fakes.

The points are a subset of MediaPipe's mesh of 478 (Kartynnik et al., 2019). Only ``extract_landmarks`` needs MediaPipe.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track as show_progress

from training.data.images import ImageStore, face_of
from training.data.manifest import CropRow
from training.errors import TrainingError
from worker.detector.config import CropConfig
from worker.detector.extraction.crops import crop_face
from worker.detector.sandbox.confinement import SINGLE_THREAD_ENVIRONMENT, confine
from worker.detector.types import Floats

_MESH = {
    "oval": "10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 152 148 176 149 150 136 172 58 132 "
    "93 234 127 162 21 54 103 67 109",
    "right_brow": "46 53 52 65 55 70 63 105 66 107",
    "left_brow": "276 283 282 295 285 300 293 334 296 336",
    "right_eye": "33 7 163 144 145 153 154 155 133 173 157 158 159 160 161 246",
    "left_eye": "263 249 390 373 374 380 381 382 362 398 384 385 386 387 388 466",
    "nose": "168 6 197 195 5 4 1 2 98 327",
    "lips": "61 146 91 181 84 17 314 405 321 375 291 409 270 269 267 0 37 39 40 185",
}
REGIONS: dict[str, slice] = {}
"""Slice of the stored points per region; the points of oval and lips are in the order of their contour."""
_start = 0
for _name, _points in _MESH.items():
    REGIONS[_name] = slice(_start, _start := _start + len(_points.split()))
POINTS = _start
"""Number of stored points per face."""
_KEPT = [int(point) for points in _MESH.values() for point in points.split()]


class LandmarksError(TrainingError):
    """The landmarks cannot be loaded."""


_VIEW = CropConfig(size_px=256, scale=2.0, upright=False)
"""Crop for the landmark model, which detects the face first and misses one that fills the image."""
_MEMORY_MAX_BYTES = 6 * 2**30


def load_landmarks(path: Path) -> dict[str, Floats]:
    """Load the landmarks per path of a crop, (POINTS, 2) in widths of the image. Raises LandmarksError."""
    if not path.exists():
        raise LandmarksError(f"{path} is missing. Run 'python -m training landmarks', or set data.landmarks=null.")
    with np.load(path, allow_pickle=False) as stored:
        points = stored["points"].astype(np.float32)
        return dict(zip(stored["paths"].tolist(), points, strict=True))


def save_landmarks(path: Path, landmarks: Mapping[str, npt.NDArray[np.floating]]) -> None:
    """Write landmarks in the format of ``load_landmarks``."""
    points = np.array(list(landmarks.values()), np.float16).reshape(-1, POINTS, 2)
    np.savez_compressed(path, paths=np.array(list(landmarks), dtype=np.str_), points=points)


def extract_landmarks(rows: Sequence[CropRow], root: Path, out: Path, *, model: Path, processes: int) -> int:
    """Extract the landmarks of crops with MediaPipe, in processes without network, and write them.

    Args:
        rows: Rows of the crops.
        root: Folder that their paths are relative to.
        out: File to write.
        model: MediaPipe's ``face_landmarker.task``.
        processes: Number of parallel processes.

    Returns:
        The number of crops in which a face was found.
    """
    os.environ |= SINGLE_THREAD_ENVIRONMENT
    batches = [rows[start : start + 64] for start in range(0, len(rows), 64)]
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_start_process, initargs=(root, model)) as pool:
        jobs = pool.map(_detect_batch, batches)
        detected = [face for batch in show_progress(jobs, "landmarks", total=len(batches)) for face in batch]
    save_landmarks(out, dict(detected))
    return len(detected)


_process: list[tuple[ImageStore, object]] = []
"""At most one entry, the landmark model of a pool process: pool functions reach it only through a global."""


def _start_process(root: Path, model: Path) -> None:
    import mediapipe  # noqa: PLC0415 (the training runs without it)
    from mediapipe.tasks.python import BaseOptions, vision  # noqa: PLC0415

    del mediapipe
    content = model.read_bytes()
    confine(
        memory_max_bytes=_MEMORY_MAX_BYTES, readable=[root.resolve()]
    )  # no network: MediaPipe would contact its vendor
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_buffer=content))
    _process.append((ImageStore(root), vision.FaceLandmarker.create_from_options(options)))


def _detect_batch(rows: Sequence[CropRow]) -> list[tuple[str, npt.NDArray[np.float16]]]:
    ((store, landmarker),) = _process
    return [(row.path, points) for row in rows for points in _detect(row, store, landmarker)]


def _detect(row: CropRow, store: ImageStore, landmarker: object) -> Iterator[npt.NDArray[np.float16]]:
    import mediapipe  # noqa: PLC0415

    image = store.read(row.path)
    face = face_of(row, image)
    view = crop_face(image, face, _VIEW)
    wrapped = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=view)
    for mesh in landmarker.detect(wrapped).face_landmarks[:1]:  # type: ignore[attr-defined]
        in_view = np.array([(mesh[index].x, mesh[index].y) for index in _KEPT], np.float32)
        in_pixels = (in_view - 0.5) * face.box.width * _VIEW.scale + face.box.center
        yield (in_pixels / image.shape[1]).astype(np.float16)
