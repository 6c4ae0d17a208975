"""Atomic writing of files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file beside ``path``; move it there when the block ends without an error.

    A reader, or a run after a kill, finds the previous content or the new one, never a part of it.
    """
    unfinished = path.with_name(f"{path.name}.part")
    yield unfinished
    unfinished.replace(path)
