"""Shards: many small images in few files, which ``ImageStore`` reads in place."""

import zipfile
from pathlib import Path

_SHARD_BYTES = 8 * 2**20
ENTRY_BYTES = 100
"""Size of the headers of an image in a zip file."""


class ShardWriter:
    """Writer of images into uncompressed zip files of about equal size.

    Args:
        out: Folder of the files.
        stem: Beginning of their names.
        suffix: End of the names of the images, such as ``.webp``.
    """

    def __init__(self, out: Path, stem: str, *, suffix: str) -> None:
        self._out, self._stem, self._suffix = out, stem, suffix
        self._images = self._shards = self._shard_bytes = 0
        self._file: zipfile.ZipFile | None = None
        self.size_bytes = 0

    def add(self, content: bytes) -> str:
        """Store an encoded image; return its path for a list, relative to the folder."""
        if self._file is None or self._shard_bytes >= _SHARD_BYTES:
            self.close()
            self._file = zipfile.ZipFile(self._out / f"{self._stem}-{self._shards:02}.zip", "w")
            self._shards += 1
            self._shard_bytes = 0
        name = f"{self._images:06}{self._suffix}"
        self._file.writestr(name, content)
        self._images += 1
        self._shard_bytes += len(content) + ENTRY_BYTES
        self.size_bytes += len(content) + ENTRY_BYTES
        return f"{self._stem}-{self._shards - 1:02}.zip/{name}"

    def close(self) -> None:
        """Close the open shard."""
        if self._file is not None:
            self._file.close()
            self._file = None
