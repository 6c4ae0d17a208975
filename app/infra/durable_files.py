"""Atomic renames, fsync and removal of stale files."""

import errno
import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from app.core.errors import StorageFullError

NO_SPACE_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Codes of errors that mean that the disk, a quota or a file size limit is exhausted."""


def delete_stale_files(folder: Path, *, older_than: timedelta) -> None:
    """Delete the files of a folder that have not changed for a duration."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # the upload has just ended
            if time.time() - path.stat().st_mtime > older_than.total_seconds():
                path.unlink()


def move_durably(source: Path, path: Path) -> None:
    """Move a file atomically, create its parent folders and sync them to disk."""
    for parent in (path.parent.parent, path.parent):
        parent.mkdir(exist_ok=True)
    source.replace(path)
    for folder in (path.parent, path.parent.parent):
        _sync_folder(folder)


def sync_file(descriptor: int) -> None:
    """Sync a file to disk. Raises StorageFullError."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise to_storage_error(error) from error


def _sync_folder(folder: Path) -> None:
    """Sync a folder to disk; without this a power failure may lose the new name of a file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_storage_error(error: OSError) -> Exception:
    """Return a StorageFullError if the disk is full, else the error itself."""
    if error.errno in NO_SPACE_ERRNOS:
        return StorageFullError("The disk is full. The clip was not stored; try again later.")
    return error
