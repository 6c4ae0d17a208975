"""Face crops from still images, by the face detector of the library, in processes without network."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

import worker
from app.core.enums import ReasonCode
from worker.detector.config import DetectorConfig
from worker.detector.extraction.crops import make_crop
from worker.detector.sandbox.confinement import SINGLE_THREAD_ENVIRONMENT, confine
from worker.detector.types import Face, FaceCrop, Frame, Image

if TYPE_CHECKING:
    from worker.detector.extraction.faces import FaceDetector

UNREADABLE = "not_an_image"
_PADDINGS = (0.0, 0.5, 1.0)
"""Widths of the reflected border, in sides of the image: the face detector misses a face that fills the image."""
_TRUSTED_SHARE_MAX = 0.7
"""Largest share of the image's side at which a box found without a border is trusted."""
_BATCH_STILLS = 256
"""Stills in memory at a time."""
_MEMORY_MAX_BYTES = 4 * 2**30


def extract_face_crops(stills: Iterable[bytes], config: DetectorConfig, *, processes: int) -> Iterator[FaceCrop | str]:
    """Yield the crop of the largest face of each still, or the code of the reason if there is none.

    Args:
        stills: Encoded images.
        config: Configuration of crops and face detector.
        processes: Number of parallel processes.
    """
    os.environ |= SINGLE_THREAD_ENVIRONMENT
    remaining = iter(stills)
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start_process, initargs=(config,)) as pool:
        while batch := list(islice(remaining, _BATCH_STILLS)):  # pool.map reads its whole input at once
            yield from pool.map(_extract_face_crop, batch, chunksize=8)


_process: list[tuple["FaceDetector", DetectorConfig]] = []
"""At most one entry, the face detector of a pool process: pool functions reach it only through a global."""


def _start_process(config: DetectorConfig) -> None:
    from worker.detector.extraction.faces import FaceDetector  # noqa: PLC0415 (crops are evaluated without MediaPipe)

    cv2.setNumThreads(1)
    confine(
        memory_max_bytes=_MEMORY_MAX_BYTES, readable=[Path(worker.__path__[0])]
    )  # the model file of the face detector
    _process.append((FaceDetector(confidence_min=config.faces.confidence_min), config))


def _extract_face_crop(content: bytes) -> FaceCrop | str:
    ((detector, config),) = _process
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error:  # the header claims an image that is too large
        pixels = None
    if pixels is None:
        return UNREADABLE
    image: Image = np.ascontiguousarray(pixels[..., ::-1], np.uint8)
    found: tuple[Frame, Face] | None = None
    for padding in _PADDINGS:
        frame = Frame(window=0, pts_seconds=0.0, image=_pad(image, padding))
        faces = [face for face in detector.detect_faces(frame.image) if _is_inside(face, frame.image, image)]
        if faces:
            found = frame, faces[0]
            if faces[0].box.width < _TRUSTED_SHARE_MAX * min(image.shape[:2]) or padding:
                break
    if found is None:
        return ReasonCode.NO_FACE
    return make_crop(*found, config.crop, config.faces)


def _is_inside(face: Face, padded: Image, image: Image) -> bool:
    """Return whether the middle of a face lies in the image, not in its reflected border."""
    border = (padded.shape[0] - image.shape[0]) / 2
    x, y = face.box.center
    height, width = image.shape[:2]
    return bool(border <= x <= border + width and border <= y <= border + height)


def _pad(image: Image, padding: float) -> Image:
    border = round(padding * min(image.shape[:2]))
    if not border:
        return image
    border = min(border, *(side - 1 for side in image.shape[:2]))
    return cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REFLECT_101).astype(np.uint8)
