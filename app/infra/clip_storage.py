"""Storage of clips: files that are written once under their SHA-256."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import unquote, urlsplit

from app.core.errors import StorageFullError
from app.infra.durable_files import NO_SPACE_ERRNOS, delete_stale_files, move_durably, sync_file, to_storage_error
from app.infra.partial_uploads import PartialClips


class Upload(AbstractContextManager["Upload"]):
    """Incoming clip: a temporary file and a running SHA-256. Leaving the ``with`` block deletes what was not stored."""

    def __init__(self, folder: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=folder)
        self._file = os.fdopen(descriptor, "wb")
        self._path = Path(name)
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Append to the clip. Raises StorageFullError."""
        try:
            self._file.write(chunk)
        except OSError as error:
            raise to_storage_error(error) from error
        self._hash.update(chunk)
        self.size_bytes += len(chunk)

    def finish(self) -> str:
        """Sync the clip to disk and return its SHA-256. Raises StorageFullError."""
        try:
            self._file.flush()
        except OSError as error:
            raise to_storage_error(error) from error
        sync_file(self._file.fileno())
        return self._hash.hexdigest()

    def move_to(self, path: Path) -> None:
        """Move the finished clip to its final path, atomically and durably."""
        move_durably(self._path, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        try:
            self._file.close()
        except OSError as close_error:  # closing flushes the buffer, which fails on a full disk
            if close_error.errno not in NO_SPACE_ERRNOS:
                raise


class ClipStorage:
    """Folder of clips. Jobs with the same bytes share one file."""

    def __init__(self, root: Path, *, reserve_bytes: int) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._reserve_bytes = reserve_bytes
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.partial = PartialClips(root / "partial")

    def begin_upload(self, *, expected_bytes: int) -> Upload:
        """Begin to receive a clip. Raises StorageFullError if it would use the reserved space."""
        self.require_space(expected_bytes)
        return Upload(self._incoming)

    def require_space(self, expected_bytes: int) -> None:
        """Raise StorageFullError if this number of bytes would use the reserved space."""
        if shutil.disk_usage(self._root).free < expected_bytes + self._reserve_bytes:
            raise StorageFullError("The disk has no space for this clip. Try again later.")

    def store_partial_upload(self, name: str, sha256: str) -> None:
        """Store a complete resumable upload. The caller holds ``advisory_lock`` of the SHA-256."""
        self.partial.move_to(name, self._path(sha256))

    def store_upload(self, upload: Upload, sha256: str) -> None:
        """Store a finished upload. The caller holds ``advisory_lock`` of the SHA-256."""
        upload.move_to(self._path(sha256))

    def open_clip(self, sha256: str) -> BinaryIO:
        """Open a clip for reading. Raises FileNotFoundError."""
        return self._path(sha256).open("rb")

    def delete_clip(self, sha256: str) -> None:
        """Delete a clip if it exists. The caller holds ``advisory_lock`` of the SHA-256."""
        self._path(sha256).unlink(missing_ok=True)

    def list_clips(self, *, older_than: timedelta) -> Iterator[str]:
        """Yield the SHA-256 of each clip that was stored longer ago than a duration."""
        for folder in self._root.glob("[0-9a-f][0-9a-f]"):
            for path in folder.iterdir():
                with suppress(FileNotFoundError):  # a concurrent request has deleted it
                    if time.time() - path.stat().st_mtime > older_than.total_seconds():
                        yield path.name

    def sweep_incoming(self, *, older_than: timedelta) -> None:
        """Delete temporary files of crashed processes: those that have not changed for a duration."""
        delete_stale_files(self._incoming, older_than=older_than)

    def is_writable(self) -> bool:
        """Return whether clips can be stored."""
        return os.access(self._incoming, os.W_OK | os.X_OK) and shutil.disk_usage(self._root).free > self._reserve_bytes

    def _path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256


def make_storage(storage_url: str, *, reserve_bytes: int) -> ClipStorage:
    """Make the storage of a ``file://`` URL. Raises ValueError for other URLs."""
    parts = urlsplit(storage_url)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        raise ValueError(f"UNMASK_STORAGE_URL is {storage_url!r}. Set it to a URL like file:///path/to/clips.")
    return ClipStorage(Path(unquote(parts.path)), reserve_bytes=reserve_bytes)
