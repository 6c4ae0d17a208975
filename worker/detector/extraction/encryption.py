"""Detection of encrypted MP4 files (ISO/IEC 23001-7). Some decoders turn them into noise without an error."""

import struct
from typing import BinaryIO

_MOOV_MAX_BYTES = 64 * 2**20
_BOXES_MAX = 10_000
_ENCRYPTED_VIDEO = (b"encv", b"sinf")
"""Names of a protected video sample entry and of the box with its protection scheme."""


def is_encrypted(file: BinaryIO) -> bool:
    """Return True if the movie box (ISO/IEC 14496-12) describes protected video. Leaves the file at its start."""
    try:
        moov = _find_moov(file)
    finally:
        file.seek(0)
    return all(name in moov for name in _ENCRYPTED_VIDEO)


def _find_moov(file: BinaryIO) -> bytes:
    offset = 0
    for _ in range(_BOXES_MAX):
        file.seek(offset)
        header = file.read(16)
        if len(header) < 8:
            break
        size, name = struct.unpack(">I4s", header[:8])
        if size == 1 and len(header) == 16:
            (size,) = struct.unpack(">Q", header[8:])
        if name == b"moov":
            file.seek(offset)
            return file.read(min(size or _MOOV_MAX_BYTES, _MOOV_MAX_BYTES))
        if size < 8:  # 0: the last box; less: not an MP4
            break
        offset += size
    return b""
