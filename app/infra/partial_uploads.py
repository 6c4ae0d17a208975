"""Storage of resumable uploads: append-only files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from app.infra.durable_files import delete_stale_files, move_durably, sync_file, to_storage_error


class ChunkWriter:
    """Writer that appends chunks to a resumable upload."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    @property
    def offset(self) -> int:
        """Number of bytes received."""
        return self._file.tell()

    def write(self, chunk: bytes) -> None:
        """Append to the clip. Raises StorageFullError; the bytes that fit remain stored."""
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise to_storage_error(error) from error


class PartialClips:
    """Folder of resumable uploads: append-only files, named by the id of the upload."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._root.mkdir(exist_ok=True, mode=0o700)

    def size_bytes(self, name: str) -> int:
        """Return the number of bytes received."""
        try:
            return (self._root / name).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def open_for_append(self, name: str) -> Iterator[ChunkWriter]:
        """Lock an upload and yield its writer. At the end of the ``with`` block the bytes are synced to disk.

        Raises:
            BlockingIOError: Another writer has the lock.
        """
        with (self._root / name).open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield ChunkWriter(file)
            finally:
                sync_file(file.fileno())

    def open_clip(self, name: str) -> BinaryIO:
        """Open the received bytes for reading. Raises FileNotFoundError."""
        return (self._root / name).open("rb")

    def move_to(self, name: str, path: Path) -> None:
        """Move a complete upload to its final path, atomically and durably."""
        with (self._root / name).open("rb+") as file:
            os.fsync(file.fileno())  # the writer of the last chunk may have crashed before its sync
        move_durably(self._root / name, path)

    def delete(self, name: str) -> None:
        """Delete an upload if it exists."""
        (self._root / name).unlink(missing_ok=True)

    def sweep(self, *, older_than: timedelta) -> None:
        """Delete uploads that have not changed for a duration."""
        delete_stale_files(self._root, older_than=older_than)
