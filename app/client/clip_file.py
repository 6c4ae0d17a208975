"""Clip that is open for sending: its length is announced, so it must not change meanwhile."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast


class ClipChangedError(OSError):
    """The file became longer or shorter while it was sent."""

    def __init__(self) -> None:
        super().__init__("The file changed while it was sent. Send it again when it is complete")


def name_of(clip: Path) -> str:
    """Return the name of a file as text; bytes that are no UTF-8 are replaced."""
    return os.fsencode(clip.name).decode(errors="replace")


@contextmanager
def open_clip(clip: Path, on_bytes: Callable[[int], None] = lambda _: None) -> Iterator[BinaryIO]:
    """Open a clip for sending.

    Args:
        clip: Regular file, or a pipe, whose length is not announced.
        on_bytes: Callback that receives the number of bytes of each chunk.

    Raises:
        OSError: The file cannot be read.
    """
    with clip.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        wrapper = _SizedFile if stat.S_ISREG(status.st_mode) else _PipeFile
        yield cast("BinaryIO", wrapper(cast("BinaryIO", file), status.st_size, on_bytes))


class _PipeFile:
    """File of unknown length, without ``seek``, so that httpx sends it in chunks."""

    def __init__(self, file: BinaryIO, _size_bytes: int, on_bytes: Callable[[int], None]) -> None:
        self._file = file
        self._on_bytes = on_bytes

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_bytes(len(data))
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(2**16):
            yield data


class _SizedFile(_PipeFile):
    """File of a known length; reading raises ClipChangedError if it is no longer true."""

    def __init__(self, file: BinaryIO, size_bytes: int, on_bytes: Callable[[int], None]) -> None:
        super().__init__(file, size_bytes, on_bytes)
        self._size_bytes = size_bytes

    def read(self, size: int = -1) -> bytes:
        left = self._size_bytes - self._file.tell()
        data = super().read(left if size < 0 else min(size, left))
        if os.fstat(self._file.fileno()).st_size != self._size_bytes:
            raise ClipChangedError
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
