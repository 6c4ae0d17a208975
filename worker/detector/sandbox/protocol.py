"""What crosses the sandbox's wall: a length-checked message with a JSON head and a block of pixels."""

import json
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from app.core.enums import ReasonCode
from worker.detector.types import ClipInfo, ClipWarning, Coverage, Extraction, Face, FaceCrop, Track

_LENGTHS = struct.Struct(">II")
_HEAD_MAX_BYTES = 32 * 2**20
_PIXELS_MAX_BYTES = 512 * 2**20


class WireError(Exception):
    """The other side does not keep to the protocol."""


@dataclass(frozen=True, slots=True)
class _WireCrop:
    """A ``FaceCrop`` without its pixels."""

    window: int
    pts_seconds: float
    face: Face
    sharpness: float
    brightness: float
    unusable: ReasonCode | None


@dataclass(frozen=True, slots=True)
class _WireTrack:
    track_id: str
    crops: list[_WireCrop]


@dataclass(frozen=True, slots=True)
class _WireExtraction:
    clip: ClipInfo
    coverage: Coverage
    tracks: list[_WireTrack]
    warnings: list[ClipWarning]


_HEAD = TypeAdapter(_WireExtraction)


def write_message(write: Callable[[bytes], object], head: dict[str, Any], pixels: bytes = b"") -> None:
    """Sends a message."""
    encoded = json.dumps(head).encode()
    write(_LENGTHS.pack(len(encoded), len(pixels)) + encoded + pixels)


def read_message(read: Callable[[int], bytes]) -> tuple[dict[str, Any], bytes]:
    """Receives a message; ``read`` returns exactly as many bytes as asked. Raises WireError."""
    head_bytes, pixel_bytes = _LENGTHS.unpack(read(_LENGTHS.size))
    if head_bytes > _HEAD_MAX_BYTES or pixel_bytes > _PIXELS_MAX_BYTES:
        raise WireError(f"a message of {head_bytes} + {pixel_bytes} bytes is too long")
    try:
        head = json.loads(read(head_bytes))
    except ValueError as error:
        raise WireError("the head of a message is not JSON") from error
    if not isinstance(head, dict):
        raise WireError("the head of a message is not an object")
    return head, read(pixel_bytes)


def pack_extraction(extraction: Extraction) -> tuple[dict[str, Any], bytes]:
    """An extraction as head and pixels."""
    wire = _WireExtraction(
        extraction.clip,
        extraction.coverage,
        [_WireTrack(track.track_id, [_strip(crop) for crop in track.crops]) for track in extraction.tracks],
        extraction.warnings,
    )
    pixels = b"".join(crop.image.tobytes() for track in extraction.tracks for crop in track.crops)
    return asdict(wire), pixels


def unpack_extraction(head: dict[str, Any], pixels: bytes, *, size_px: int) -> Extraction:
    """The extraction behind a message. Raises WireError where it is not one."""
    try:
        wire = _HEAD.validate_python(head)
    except ValueError as error:
        raise WireError(f"the head is not an extraction: {error}") from error
    count = sum(len(track.crops) for track in wire.tracks)
    if len(pixels) != count * size_px * size_px * 3:
        raise WireError(f"{len(pixels)} bytes are not {count} crops of {size_px} px")
    images = iter(np.frombuffer(pixels, np.uint8).reshape(count, size_px, size_px, 3))
    tracks = [Track(track.track_id, [_restore(crop, next(images)) for crop in track.crops]) for track in wire.tracks]
    return Extraction(wire.clip, wire.coverage, tracks, wire.warnings)


def _strip(crop: FaceCrop) -> _WireCrop:
    return _WireCrop(crop.window, crop.pts_seconds, crop.face, crop.sharpness, crop.brightness, crop.unusable)


def _restore(crop: _WireCrop, image: np.typing.NDArray[np.uint8]) -> FaceCrop:
    return FaceCrop(crop.window, crop.pts_seconds, crop.face, image, crop.sharpness, crop.brightness, crop.unusable)
