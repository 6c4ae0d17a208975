"""Files of imports: archives of models that wait for a worker, in a hidden folder beside the installed models."""

import shutil
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

_FOLDER = ".imports"
_LEFTOVERS = (f"{_FOLDER}/*", ".new-*", ".old-*")
"""Archives, folders where they are unpacked, and those of installations that were interrupted."""


def import_path(models: Path, import_id: UUID) -> Path:
    """Return the path of the archive of an import."""
    return models / _FOLDER / f"{import_id.hex}.zip"


def delete_stale_imports(models: Path, *, older_than: timedelta) -> None:
    """Delete what crashed processes left: files and folders that have not changed for a duration."""
    for path in [found for pattern in _LEFTOVERS for found in models.glob(pattern)]:
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:  # its import has just ended
            continue
        if age < older_than.total_seconds():
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
