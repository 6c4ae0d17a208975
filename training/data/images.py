"""Images of a manifest, read from a folder or from the tar and zip files in it."""

import os
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from training.data.manifest import CropRow
from training.errors import TrainingError
from worker.detector.config import CropConfig
from worker.detector.extraction.crops import crop_face
from worker.detector.types import Box, Face, Image

_IN_ARCHIVE = re.compile(r"\.(tar|zip)/")
_ZIP_LENGTHS_AT = 26
"""Offset of the lengths of name and extra field in the local header of a zip entry (APPNOTE.TXT, 4.3.7). The data
follow name and extra field."""

Clip = list[CropRow]  # rows of one person in one clip, in the order of time


class ImageError(TrainingError):
    """An image is missing or damaged."""


class ImageStore:
    """Images below a folder. Archives are read in place; a copy in another process opens its own files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, int] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"_root": self._root, "_files": {}, "_members": self._members}

    @cached_property
    def _members(self) -> dict[str, tuple[str, int, int]]:
        """Archive, offset and size per path of a member."""
        members = {}
        for path in sorted(self._root.glob("*.zip")):
            with zipfile.ZipFile(path) as archive, path.open("rb") as file:
                for entry in archive.infolist():
                    file.seek(entry.header_offset + _ZIP_LENGTHS_AT)
                    name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
                    start = entry.header_offset + _ZIP_LENGTHS_AT + 4 + name_bytes + extra_bytes
                    members[f"{path.name}/{entry.filename}"] = (path.name, start, entry.file_size)
        for path in sorted(self._root.glob("*.tar")):
            with tarfile.open(path) as shard:
                for member in shard:
                    members[f"{path.name}/{member.name}"] = (path.name, member.offset_data, member.size)
        return members

    def find_missing(self, paths: Iterable[str]) -> list[str]:
        """Return the paths that name no image."""
        return [path for path in paths if path not in self._members and not (self._root / path).is_file()]

    def read(self, path: str) -> Image:
        """Read an image as RGB. Raises ImageError."""
        pixels = cv2.imdecode(np.frombuffer(self._read_bytes(path), np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ImageError(f"{self._root / path} is not a readable image.")
        image: Image = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8)
        return image

    def _read_bytes(self, path: str) -> bytes:
        if not _IN_ARCHIVE.search(path):
            try:
                return (self._root / path).read_bytes()
            except OSError as error:
                raise ImageError(f"{self._root / path} cannot be read: {error.strerror}.") from error
        if path not in self._members:
            raise ImageError(f"{self._root / path} does not exist.")
        shard, offset, size = self._members[path]
        if shard not in self._files:
            self._files[shard] = os.open(self._root / shard, os.O_RDONLY)
        return os.pread(self._files[shard], size, offset)


def face_of(row: CropRow, image: Image) -> Face:
    """Return the face of a row, in pixels of its image."""
    width = image.shape[1]
    return Face(Box(row.box_x * width, row.box_y * width, row.box_w * width, row.box_w * width), confidence=1.0)


def load_crops(clip: Clip, store: ImageStore, config: CropConfig) -> Image:
    """Load the crops of a clip, without augmentation, (N, S, S, 3) uint8."""
    images = [store.read(row.path) for row in clip]
    return np.stack([crop_face(image, face_of(row, image), config) for row, image in zip(clip, images, strict=True)])
