"""Atomic renames, fsync, removal of stale files."""

import errno
import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from app.core.errors import StorageFullError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _sweep(folder: Path, *, older_than: timedelta) -> None:
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # it was finished meanwhile
            if time.time() - path.stat().st_mtime > older_than.total_seconds():
                path.unlink()


def _move(source: Path, path: Path) -> None:
    for parent in (path.parent.parent, path.parent):
        parent.mkdir(exist_ok=True)
    source.replace(path)
    for folder in (path.parent, path.parent.parent):
        _sync_folder(folder)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _as_storage_error(error) from error


def _sync_folder(folder: Path) -> None:
    """Without this the new name may be lost when the power is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_storage_error(error: OSError) -> Exception:
    if error.errno in _NO_ROOM:
        return StorageFullError("The disk is full. The clip was not stored; try again later.")
    return error
