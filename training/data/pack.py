"""Pack a training set into small shards: what a machine without the data needs to train, and no more.

Faces are scaled down to the size that the crops have anyway, and stored as WebP in zip files beside a manifest.
"""

import hashlib
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track as show_progress

from training.config import TrainConfig
from training.data.images import ImageStore, face_of
from training.data.landmarks import load_landmarks, save_landmarks
from training.data.manifest import (
    MANIFEST_NAME,
    CropRow,
    ManifestError,
    is_one_of,
    load_manifest,
    sequences_of,
    write_rows,
)
from training.data.splits import hold_out, keep_data_sets, rows_of_part
from training.errors import TrainingError
from worker.detector.types import Box, Floats, Image

LANDMARKS_NAME = "landmarks.npz"
CONFIG_NAME = "config.json"
_SHARD_BYTES = 8 * 2**20
_ENTRY_BYTES = 100
"""Size of an image's entries in a zip file, beside the image."""


class PackError(TrainingError):
    """The data cannot be packed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOptions:
    """What is packed, and how small."""

    max_bytes: int
    """Most that the images take. Whole groups are packed, in order, until the next does not fit."""
    order: tuple[tuple[str, int | None], ...] = (("*", None),)
    """Patterns of data sets in the order of packing, each with the most frames that are taken of a clip."""
    box_px: int = 112
    """Width of a face box after scaling; smaller faces keep their size."""
    margin: float = 1.4
    """Side of what is kept around a face, in widths of its box."""
    quality: int = 70
    """Of WebP, 1 to 100."""


def parse_order(text: str) -> tuple[tuple[str, int | None], ...]:
    """Read an order such as ``ffpp-*,dfdc-seq:2``. Raises PackError."""
    order = []
    for part in text.split(","):
        pattern, colon, frames = part.strip().partition(":")
        if not pattern or (colon and not (frames.isdigit() and int(frames))):
            raise PackError(f"{part!r} is not PATTERN or PATTERN:FRAMES, as in dfdc-seq:2.")
        order.append((pattern, int(frames) if colon else None))
    return tuple(order)


def pack(config: TrainConfig, out: Path, options: PackOptions) -> dict[str, int]:
    """Write shards, ``manifest.csv``, ``landmarks.npz`` and a ``config.json`` of a configuration's training set.

    Rows of ``train`` are packed, and of ``val`` the part for early early_stopping, which becomes a split of its own; what
    calibrates or is reported stays behind.

    Args:
        config: Names manifest, landmarks, and the data sets and people that are left out.
        out: Folder that is written; it must not exist.
        options: What, and how small.

    Returns:
        The number of images of each data set.

    Raises:
        ManifestError: The manifest cannot be used.
        PackError: ``out`` exists.
    """
    if out.exists():
        raise PackError(f"{out} exists. Choose another folder, or delete it.")
    out.mkdir(parents=True)
    store = ImageStore(config.data.manifest.parent)
    landmarks = load_landmarks(config.data.landmarks) if config.data.landmarks else {}
    shards = _ShardWriter(out)
    rows: list[CropRow] = []
    moved: dict[str, Floats] = {}
    groups = list(_choose_groups(config, options))
    for group in show_progress(groups, "groups"):
        packed = [_pack_image(row, store, options) for row in group]
        if shards.size_bytes + sum(len(image.content) + _ENTRY_BYTES for image in packed) > options.max_bytes:
            break
        for row, image in zip(group, packed, strict=True):
            path = shards.add(image.content)
            rows.append(replace(row, path=path, box_x=image.box.x, box_y=image.box.y, box_w=image.box.width))
            if row.path in landmarks:
                moved[path] = image.move(landmarks[row.path])
    shards.close()
    if not rows:
        raise ManifestError(f"Nothing of {config.data.manifest} fits into {options.max_bytes} bytes.")
    write_rows(out / MANIFEST_NAME, CropRow, rows)
    save_landmarks(out / LANDMARKS_NAME, moved)
    data = {"manifest": out / MANIFEST_NAME, "landmarks": out / LANDMARKS_NAME, "hold_out": {}}
    packed_config = config.model_copy(update={"data": config.data.model_copy(update=data)})
    (out / CONFIG_NAME).write_text(packed_config.model_dump_json(indent=2) + "\n")
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row.dataset] += 1
    return dict(counts)


def _choose_groups(config: TrainConfig, options: PackOptions) -> Iterator[list[CropRow]]:
    """Yield the rows of each group in the order of packing, thinned to the frames that are wanted of a clip."""
    listed = hold_out(load_manifest(config.data.manifest), config.data.hold_out)
    early_stopping = [replace(row, split="early_stopping") for row in rows_of_part(listed, "early_stopping")]
    rows = keep_data_sets(
        [*(row for row in listed if row.split == "train"), *early_stopping], without=config.data.without
    )
    taken: set[str] = set()
    for pattern, frames_max in options.order:
        groups: dict[tuple[str, str], list[CropRow]] = defaultdict(list)
        for clip in sequences_of(row for row in rows if is_one_of(row.dataset, [pattern]) and row.path not in taken):
            groups[clip[0].dataset, clip[0].group] += clip[:: -(-len(clip) // (frames_max or len(clip)))]
        taken.update(row.path for row in rows if is_one_of(row.dataset, [pattern]))
        # A group with fakes teaches more than one without, and what says when to stop is needed first.
        yield from sorted(
            groups.values(),
            key=lambda group: (group[0].split == "train", len({row.label for row in group}) < 2, _hash(group[0].group)),
        )


def _hash(name: str) -> bytes:
    """An order that has nothing to do with the names."""
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True, slots=True)
class _PackedImage:
    """The part of an image around its face, encoded."""

    content: bytes
    box: Box
    """The face in widths of this part."""
    corner: tuple[float, float]
    """Of this part in the image, in widths of the image."""
    scale: float
    """Width of the image in widths of this part."""

    def move(self, points: Floats) -> Floats:
        """Points (N, 2) in widths of the image, in widths of this part."""
        moved: Floats = (points - np.array(self.corner, np.float32)) * np.float32(self.scale)
        return moved


def _pack_image(row: CropRow, store: ImageStore, options: PackOptions) -> _PackedImage:
    image = store.read(row.path)
    height, width = image.shape[:2]
    box = face_of(row, image).box
    half = box.width * options.margin / 2
    left, right = (round(min(max(box.center[0] + side, 0), width)) for side in (-half, half))
    top, bottom = (round(min(max(box.center[1] + side, 0), height)) for side in (-half, half))
    part: Image = image[top:bottom, left:right]
    shrink = min(options.box_px / box.width, 1.0)
    size = (max(round((right - left) * shrink), 1), max(round((bottom - top) * shrink), 1))
    scaled = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(
        ".webp", cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, options.quality]
    )
    unit = right - left
    return _PackedImage(
        content=encoded.tobytes(),
        box=Box((box.x - left) / unit, (box.y - top) / unit, box.width / unit, box.height / unit),
        corner=(left / width, top / width),
        scale=width / unit,
    )


class _ShardWriter:
    """Zip files of about equal size, without compression; a new one begins when one is full."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._images = self._shards = self._shard_bytes = 0
        self._file: zipfile.ZipFile | None = None
        self.size_bytes = 0

    def add(self, content: bytes) -> str:
        """Store an image; returns its path for the manifest."""
        if self._file is None or self._shard_bytes >= _SHARD_BYTES:
            self.close()
            self._file = zipfile.ZipFile(self._out / f"faces-{self._shards:02}.zip", "w")
            self._shards += 1
            self._shard_bytes = 0
        name = f"{self._images:06}.webp"
        self._file.writestr(name, content)
        self._images += 1
        self._shard_bytes += len(content) + _ENTRY_BYTES
        self.size_bytes += len(content) + _ENTRY_BYTES
        return f"faces-{self._shards - 1:02}.zip/{name}"

    def close(self) -> None:
        """End the shard that is open."""
        if self._file is not None:
            self._file.close()
            self._file = None
