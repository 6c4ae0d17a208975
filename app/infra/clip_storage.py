"""Where clips are kept: written once under their SHA-256, read as open files."""

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
from app.infra.durable_files import _NO_ROOM, _as_storage_error, _move, _sweep, _sync
from app.infra.partial_uploads import PartialClips


class Upload(AbstractContextManager["Upload"]):
    """A clip on its way in: a temporary file and a running SHA-256. Leaving the block discards what was not kept."""

    def __init__(self, folder: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=folder)
        self._file = os.fdopen(descriptor, "wb")
        self._path = Path(name)
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Appends to the clip. Raises StorageFullError."""
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _as_storage_error(error) from error
        self._hash.update(chunk)
        self.size_bytes += len(chunk)

    def finish(self) -> str:
        """Flushes the clip to the disk and returns its SHA-256. Raises StorageFullError."""
        try:
            self._file.flush()
        except OSError as error:
            raise _as_storage_error(error) from error
        _sync(self._file.fileno())
        return self._hash.hexdigest()

    def move_to(self, path: Path) -> None:
        """Gives the finished clip its name, atomically and durably."""
        _move(self._path, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        try:
            self._file.close()
        except OSError as close_error:  # a full disk shows here too, where the buffer could not be flushed
            if close_error.errno not in _NO_ROOM:
                raise


class ClipStorage:
    """A folder of clips. Two jobs with the same bytes share a file."""

    def __init__(self, root: Path, *, reserve_bytes: int) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._reserve_bytes = reserve_bytes
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.partial = PartialClips(root / "partial")

    def begin_upload(self, *, expected_bytes: int) -> Upload:
        """Starts a clip. Raises StorageFullError where it would eat into the reserve."""
        self.check_room(expected_bytes)
        return Upload(self._incoming)

    def check_room(self, expected_bytes: int) -> None:
        """Raises StorageFullError where so many bytes would eat into the reserve."""
        if shutil.disk_usage(self._root).free < expected_bytes + self._reserve_bytes:
            raise StorageFullError("There is no room for this clip at the moment. Try again later.")

    def keep_partial(self, name: str, sha256: str) -> None:
        """Files a clip that came in pieces. Call it under ``repositories.lock``."""
        self.partial.move_to(name, self._path(sha256))

    def keep(self, upload: Upload, sha256: str) -> None:
        """Files a finished upload. Call it under ``repositories.lock``."""
        upload.move_to(self._path(sha256))

    def open_clip(self, sha256: str) -> BinaryIO:
        """Opens a clip for reading. Raises FileNotFoundError."""
        return self._path(sha256).open("rb")

    def delete_clip(self, sha256: str) -> None:
        """Removes a clip, if it is there. Call it under ``repositories.lock``."""
        self._path(sha256).unlink(missing_ok=True)

    def list_clips(self, *, older_than: timedelta) -> Iterator[str]:
        """The SHA-256 of the clips that were stored longer ago than this."""
        for folder in self._root.glob("[0-9a-f][0-9a-f]"):
            for path in folder.iterdir():
                with suppress(FileNotFoundError):  # deleted meanwhile
                    if time.time() - path.stat().st_mtime > older_than.total_seconds():
                        yield path.name

    def sweep_incoming(self, *, older_than: timedelta) -> None:
        """Removes what uploads left behind when their process died: files that have not grown for so long."""
        _sweep(self._incoming, older_than=older_than)

    def is_writable(self) -> bool:
        """True while clips can be stored."""
        return os.access(self._incoming, os.W_OK | os.X_OK) and shutil.disk_usage(self._root).free > self._reserve_bytes

    def _path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256


def make_storage(storage_url: str, *, reserve_bytes: int) -> ClipStorage:
    """The storage behind a ``file://`` URL. Raises ValueError for any other."""
    parts = urlsplit(storage_url)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        raise ValueError(f"UNMASK_STORAGE_URL must look like file:///path/to/clips, not {storage_url!r}")
    return ClipStorage(Path(unquote(parts.path)), reserve_bytes=reserve_bytes)
