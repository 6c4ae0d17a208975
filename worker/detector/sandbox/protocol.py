"""Messages between sandbox and worker: a JSON head and a block of pixels, both with checked lengths."""

import json
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from app.core.enums import FailureCode, ReasonCode
from worker.detector.types import Box, ClipError, ClipInfo, ClipWarning, Coverage, Extraction, Face, FaceCrop, Track

_LENGTHS = struct.Struct(">II")
_HEAD_MAX_BYTES = 32 * 2**20
_PIXELS_MAX_BYTES = 512 * 2**20


class ProtocolError(Exception):
    """A message violates the protocol."""


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """A sampled frame and the boxes of its faces, for people to look at."""

    pts_seconds: float
    boxes: list[Box]
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class _PackedCrop:
    """A ``FaceCrop`` without its pixels."""

    window: int
    pts_seconds: float
    face: Face
    sharpness: float
    brightness: float
    unusable: ReasonCode | None


@dataclass(frozen=True, slots=True)
class _PackedTrack:
    track_id: str
    crops: list[_PackedCrop]


@dataclass(frozen=True, slots=True)
class _PackedExtraction:
    clip: ClipInfo
    coverage: Coverage
    tracks: list[_PackedTrack]
    warnings: list[ClipWarning]


_HEAD = TypeAdapter(_PackedExtraction)


def write_message(write: Callable[[bytes], object], head: dict[str, Any], pixels: bytes = b"") -> None:
    """Write a message."""
    encoded = json.dumps(head).encode()
    write(_LENGTHS.pack(len(encoded), len(pixels)) + encoded + pixels)


def read_message(read: Callable[[int], bytes]) -> tuple[dict[str, Any], bytes]:
    """Read a message. ``read`` returns exactly the requested number of bytes. Raises ProtocolError."""
    head_bytes, pixel_bytes = _LENGTHS.unpack(read(_LENGTHS.size))
    if head_bytes > _HEAD_MAX_BYTES or pixel_bytes > _PIXELS_MAX_BYTES:
        raise ProtocolError(f"A message of {head_bytes} + {pixel_bytes} bytes is too long.")
    try:
        head = json.loads(read(head_bytes))
    except ValueError as error:
        raise ProtocolError("The head of a message is not JSON.") from error
    if not isinstance(head, dict):
        raise ProtocolError("The head of a message is not an object.")
    return head, read(pixel_bytes)


def parse_progress(head: dict[str, Any]) -> tuple[int, int]:
    """Return the units done and expected. Raises ProtocolError."""
    try:
        done, total = map(int, head["progress"])
    except (TypeError, ValueError) as error:
        raise ProtocolError("The progress is not two numbers.") from error
    return done, total


def parse_error(head: dict[str, Any]) -> ClipError:
    """Return the error. Raises ProtocolError."""
    try:
        code, message = head["error"]
        return ClipError(FailureCode(code), str(message))
    except (TypeError, ValueError) as error:
        raise ProtocolError("The error has no code and message.") from error


def parse_image(head: dict[str, Any], pixels: bytes) -> SampledFrame:
    """Return the sampled frame. Raises ProtocolError."""
    try:
        seconds, boxes = head["image"]
        return SampledFrame(float(seconds), [Box(*map(float, box)) for box in boxes], pixels)
    except (TypeError, ValueError) as error:
        raise ProtocolError("The image has no time and boxes.") from error


def pack_extraction(extraction: Extraction) -> tuple[dict[str, Any], bytes]:
    """Return an extraction as head and pixels."""
    packed = _PackedExtraction(
        extraction.clip,
        extraction.coverage,
        [_PackedTrack(track.track_id, [_pack_crop(crop) for crop in track.crops]) for track in extraction.tracks],
        extraction.warnings,
    )
    pixels = b"".join(crop.image.tobytes() for track in extraction.tracks for crop in track.crops)
    return asdict(packed), pixels


def unpack_extraction(head: dict[str, Any], pixels: bytes, *, size_px: int) -> Extraction:
    """Return the extraction of a message. Raises ProtocolError if the message contains none."""
    try:
        packed = _HEAD.validate_python(head)
    except ValueError as error:
        raise ProtocolError(f"The head is not an extraction: {error}") from error
    count = sum(len(track.crops) for track in packed.tracks)
    if len(pixels) != count * size_px * size_px * 3:
        raise ProtocolError(f"{len(pixels)} bytes are not {count} crops of {size_px} px.")
    images = iter(np.frombuffer(pixels, np.uint8).reshape(count, size_px, size_px, 3))
    tracks = [
        Track(track.track_id, [_unpack_crop(crop, next(images)) for crop in track.crops]) for track in packed.tracks
    ]
    return Extraction(packed.clip, packed.coverage, tracks, packed.warnings)


def _pack_crop(crop: FaceCrop) -> _PackedCrop:
    return _PackedCrop(crop.window, crop.pts_seconds, crop.face, crop.sharpness, crop.brightness, crop.unusable)


def _unpack_crop(crop: _PackedCrop, image: np.typing.NDArray[np.uint8]) -> FaceCrop:
    return FaceCrop(crop.window, crop.pts_seconds, crop.face, image, crop.sharpness, crop.brightness, crop.unusable)
