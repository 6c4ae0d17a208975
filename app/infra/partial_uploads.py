"""Storage of clips that arrive in chunks: files that only grow."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from app.infra.durable_files import _as_storage_error, _move, _sweep, _sync


class ChunkWriter:
    """Where the next piece of a clip goes."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    @property
    def offset(self) -> int:
        """How much of the clip is there."""
        return self._file.tell()

    def write(self, chunk: bytes) -> None:
        """Appends to the clip. Raises StorageFullError; what there was room for stays."""
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise _as_storage_error(error) from error


class PartialClips:
    """Clips that come in pieces: files that only grow, by the name of their upload."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._root.mkdir(exist_ok=True, mode=0o700)

    def size_bytes(self, name: str) -> int:
        """How much of a clip is there."""
        try:
            return (self._root / name).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def open_for_append(self, name: str) -> Iterator["ChunkWriter"]:
        """The end of a clip, for one writer; what was written is on the disk afterwards.

        Raises BlockingIOError: another one writes.
        """
        with (self._root / name).open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield ChunkWriter(file)
            finally:
                _sync(file.fileno())

    def open_clip(self, name: str) -> BinaryIO:
        """Opens what is there for reading. Raises FileNotFoundError."""
        return (self._root / name).open("rb")

    def move_to(self, name: str, path: Path) -> None:
        """Gives a complete clip its name, atomically and durably."""
        with (self._root / name).open("rb+") as file:
            os.fsync(file.fileno())  # whoever wrote the last piece may not have come to it
        _move(self._root / name, path)

    def delete(self, name: str) -> None:
        """Forgets what is there."""
        (self._root / name).unlink(missing_ok=True)

    def sweep(self, *, older_than: timedelta) -> None:
        """Forgets what has not grown for so long."""
        _sweep(self._root, older_than=older_than)
