"""Packing of a training set into small shards, for training on a machine without the data.

Faces are scaled down to about the size of the crops, and stored as WebP in zip files next to a manifest.
"""

import hashlib
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
    load_crop_manifest,
    sequences_of,
    write_rows,
)
from training.data.shards import ENTRY_BYTES, ShardWriter
from training.data.splits import hold_out, keep_data_sets, rows_of_part
from training.errors import TrainingError
from worker.detector.types import Box, Floats, Image

LANDMARKS_NAME = "landmarks.npz"
CONFIG_NAME = "config.json"


class PackError(TrainingError):
    """The data cannot be packed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOptions:
    """Contents and size of a packed training set."""

    max_bytes: int
    """Size limit of the images. Whole groups are packed, in order, until the next does not fit."""
    order: tuple[tuple[str, int | None], ...] = (("*", None),)
    """Patterns of data sets in the order of packing, each with its largest number of frames per clip."""
    box_px: int = 112
    """Width of a face box after scaling; smaller faces keep their size."""
    margin: float = 1.4
    """Side of the stored image around a face, in widths of its box."""
    quality: int = 70
    """Quality of WebP, 1 to 100."""


def parse_order(text: str) -> tuple[tuple[str, int | None], ...]:
    """Read an order such as ``ffpp-*,dfdc-seq:2``. Raises PackError."""
    order = []
    for part in text.split(","):
        pattern, colon, frames = part.strip().partition(":")
        if not pattern or (colon and not (frames.isdigit() and int(frames))):
            raise PackError(f"{part!r} is not PATTERN or PATTERN:FRAMES, as in dfdc-seq:2.")
        order.append((pattern, int(frames) if colon else None))
    return tuple(order)


def pack_dataset(config: TrainConfig, out: Path, options: PackOptions) -> dict[str, int]:
    """Write the training set of a configuration as shards, ``manifest.csv``, ``landmarks.npz`` and ``config.json``.

    Rows of ``train`` and of the early-stopping part of ``val`` are packed; the latter become a split of their own. Rows
    for calibration and report are not packed.

    Args:
        config: Configuration with manifest, landmarks, and the data sets and people that are left out.
        out: Folder to write; it must not exist.
        options: Contents and size.

    Returns:
        The number of images per data set.

    Raises:
        ManifestError: The manifest cannot be used.
        PackError: ``out`` exists.
    """
    if out.exists():
        raise PackError(f"{out} exists. Choose another folder, or delete it.")
    out.mkdir(parents=True)
    store = ImageStore(config.data.manifest.parent)
    landmarks = load_landmarks(config.data.landmarks) if config.data.landmarks else {}
    shards = ShardWriter(out, "faces", suffix=".webp")
    rows: list[CropRow] = []
    packed_landmarks: dict[str, Floats] = {}
    groups = list(_choose_groups(config, options))
    for group in show_progress(groups, "groups"):
        packed = [_pack_image(row, store, options) for row in group]
        if shards.size_bytes + sum(len(image.content) + ENTRY_BYTES for image in packed) > options.max_bytes:
            break
        for row, image in zip(group, packed, strict=True):
            path = shards.add(image.content)
            rows.append(replace(row, path=path, box_x=image.box.x, box_y=image.box.y, box_w=image.box.width))
            if row.path in landmarks:
                packed_landmarks[path] = image.to_part(landmarks[row.path])
    shards.close()
    if not rows:
        raise ManifestError(f"No group of {config.data.manifest} fits into {options.max_bytes} bytes. Raise the limit.")
    write_rows(out / MANIFEST_NAME, CropRow, rows)
    save_landmarks(out / LANDMARKS_NAME, packed_landmarks)
    data = {"manifest": out / MANIFEST_NAME, "landmarks": out / LANDMARKS_NAME, "hold_out": {}}
    packed_config = config.model_copy(update={"data": config.data.model_copy(update=data)})
    (out / CONFIG_NAME).write_text(packed_config.model_dump_json(indent=2) + "\n")
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row.dataset] += 1
    return dict(counts)


def _choose_groups(config: TrainConfig, options: PackOptions) -> Iterator[list[CropRow]]:
    """Yield the rows of each group in the order of packing, thinned to the largest number of frames per clip."""
    listed = hold_out(load_crop_manifest(config.data.manifest), config.data.hold_out)
    early_stopping_rows = [replace(row, split="early_stopping") for row in rows_of_part(listed, "early_stopping")]
    rows = keep_data_sets(
        [*(row for row in listed if row.split == "train"), *early_stopping_rows], without=config.data.without
    )
    taken: set[str] = set()
    for pattern, frames_max in options.order:
        groups: dict[tuple[str, str], list[CropRow]] = defaultdict(list)
        for clip in sequences_of(row for row in rows if is_one_of(row.dataset, [pattern]) and row.path not in taken):
            groups[clip[0].dataset, clip[0].group] += clip[:: -(-len(clip) // (frames_max or len(clip)))]
        taken.update(row.path for row in rows if is_one_of(row.dataset, [pattern]))
        # Early stopping comes first, because every run needs it; then groups with both labels, which teach more.
        yield from sorted(
            groups.values(),
            key=lambda group: (group[0].split == "train", len({row.label for row in group}) < 2, _hash(group[0].group)),
        )


def _hash(name: str) -> bytes:
    """Return a sort key that is independent of the order of the names."""
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True, slots=True)
class _PackedImage:
    """Part of an image around its face, encoded."""

    content: bytes
    box: Box
    """Face box, in widths of this part."""
    corner: tuple[float, float]
    """Top left corner of this part, in widths of the image."""
    scale: float
    """Width of the image, in widths of this part."""

    def to_part(self, points: Floats) -> Floats:
        """Convert points (N, 2) from widths of the image to widths of this part."""
        converted: Floats = (points - np.array(self.corner, np.float32)) * np.float32(self.scale)
        return converted


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
