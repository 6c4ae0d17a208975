"""Reads the images of a manifest, from a folder or from the tar files in it."""

import os
import tarfile
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from training.errors import TrainingError
from training.manifest import CropRow
from worker.detector.config import CropConfig
from worker.detector.crops import crop_face
from worker.detector.types import Box, Face, Image

Clip = list[CropRow]  # the rows of one person in one clip, in the order of time


class ImageError(TrainingError):
    """An image is missing or damaged; the message says which."""


class ImageStore:
    """The images below a folder. Tar files are read in place; a copy in another process opens its own."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, int] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"_root": self._root, "_files": {}, "_members": self._members}

    @cached_property
    def _members(self) -> dict[str, tuple[str, int, int]]:
        """Path of a member -> its tar file, offset and size."""
        members = {}
        for path in sorted(self._root.glob("*.tar")):
            with tarfile.open(path) as shard:
                for member in shard:
                    members[f"{path.name}/{member.name}"] = (path.name, member.offset_data, member.size)
        return members

    def read(self, path: str) -> Image:
        """An image, RGB. Raises ImageError."""
        pixels = cv2.imdecode(np.frombuffer(self._read_bytes(path), np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ImageError(f"{self._root / path} is no image that can be read.")
        image: Image = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8)
        return image

    def _read_bytes(self, path: str) -> bytes:
        if ".tar/" not in path:
            try:
                return (self._root / path).read_bytes()
            except OSError as error:
                raise ImageError(f"{self._root / path} cannot be read: {error.strerror}.") from error
        if path not in self._members:
            raise ImageError(f"{self._root / path} is not there.")
        shard, offset, size = self._members[path]
        if shard not in self._files:
            self._files[shard] = os.open(self._root / shard, os.O_RDONLY)
        return os.pread(self._files[shard], size, offset)


def face_of(row: CropRow, image: Image) -> Face:
    """The face of a row, in pixels of its image."""
    width = image.shape[1]
    return Face(Box(row.box_x * width, row.box_y * width, row.box_w * width, row.box_w * width), confidence=1.0)


def read_crops(clip: Clip, store: ImageStore, config: CropConfig) -> Image:
    """The crops of a clip, without augmentation, (N, S, S, 3) uint8."""
    images = [store.read(row.path) for row in clip]
    return np.stack([crop_face(image, face_of(row, image), config) for row, image in zip(clip, images, strict=True)])
