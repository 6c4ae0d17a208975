"""Boxes of an MP4 file (ISO/IEC 14496-12) that are read before a decoder opens it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BOX_MAX_BYTES = 64 * 2**20
_BOXES_MAX = 100_000
_DEPTH_MAX = 10
"""Depth of boxes in boxes. FFmpeg reads no deeper."""
_CONTAINERS = (b"trak", b"mdia", b"minf", b"stbl", b"traf")
_ENCRYPTED_VIDEO = (b"encv", b"sinf")
"""Names of a protected video sample entry and of the box with its protection scheme (ISO/IEC 23001-7)."""


@dataclass(frozen=True, slots=True)
class Movie:
    """Properties of an MP4 file."""

    is_encrypted: bool
    """True if video is protected. Some decoders turn it into noise without an error."""
    is_fragmented: bool
    """True if the movie box does not list all samples, because others are in fragments."""
    samples: int
    """Number of samples that its tables make FFmpeg list in memory."""


def read_movie(file: BinaryIO) -> Movie | None:
    """Read the movie box and the fragments. Returns None if the file has none. Leaves the file at its start."""
    moov, fragments, samples = b"", 0, 0
    try:
        for name, start, size in _iterate_file(file):
            if name in {b"moov", b"moof"}:
                file.seek(start)
                content = file.read(min(size, _BOX_MAX_BYTES))
                samples += _count_samples(content)
                moov, fragments = moov or content, fragments + (name == b"moof")
    finally:
        file.seek(0)
    if not moov:
        return None
    is_encrypted = all(name in moov for name in _ENCRYPTED_VIDEO)
    return Movie(is_encrypted=is_encrypted, is_fragmented=fragments > 0 or b"mvex" in moov, samples=samples)


def _iterate_file(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start of the content and size of the content of each box of the file."""
    end = file.seek(0, 2)
    offset = 0
    for _ in range(_BOXES_MAX):
        file.seek(offset)
        header = file.read(16)
        if len(header) < 8:
            return
        size, name = struct.unpack(">I4s", header[:8])
        header_bytes = 8
        if size == 1 and len(header) == 16:
            (size,), header_bytes = struct.unpack(">Q", header[8:]), 16
        if size == 0:  # the last box
            size = end - offset
        if size < header_bytes:  # not an MP4
            return
        yield name, offset + header_bytes, size - header_bytes
        offset += size
        if offset >= end:
            return


def _iterate_boxes(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    offset = 0
    while offset + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, offset)
        if size < 8:
            return
        yield name, content[offset + 8 : offset + size]
        offset += size


def _count_samples(content: bytes) -> int:
    """Return the number of samples in the tables of a movie box or a fragment."""
    return sum(_count_track_samples(box) for name, box in _iterate_boxes(memoryview(content)) if name in _CONTAINERS)


def _count_track_samples(track: memoryview) -> int:
    samples, is_sound, is_pcm = 0, False, False
    open_boxes = [(track, 1)]
    while open_boxes:
        parent, depth = open_boxes.pop()
        for name, box in _iterate_boxes(parent):
            if name in _CONTAINERS and depth < _DEPTH_MAX:
                open_boxes.append((box, depth + 1))
            elif name in {b"stsz", b"stz2"} and len(box) >= 12:
                samples += struct.unpack_from(">I", box, 8)[0]
            elif name == b"trun" and len(box) >= 8:
                samples += struct.unpack_from(">I", box, 4)[0]
            elif name == b"hdlr":
                is_sound = bytes(box[8:12]) == b"soun"
            elif name == b"stts" and len(box) >= 16:
                is_pcm = struct.unpack_from(">I4xI", box, 4) == (1, 1)
    return 0 if is_sound and is_pcm else samples  # FFmpeg lists the chunks of PCM sound, not its samples
