"""Archives of models: a zip with the files of a released directory. Its table is checked before a byte is unpacked."""

import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from app.core.errors import InvalidArchiveError, ModelTooLargeError

_OPTIONAL_FILES = frozenset({"MODEL_CARD.md"})
_REQUIRED_FILES = frozenset({"manifest.json", "model.safetensors", "model.onnx"})
_MANIFEST_MAX_BYTES = 2**20
"""A manifest has tens of kilobytes. The API parses those of all installed models."""
_TABLE_MAX_BYTES = 2**16
"""Size of the table of contents that is read: thousands of times that of four files are an attack."""
_ENCRYPTED = 0x1
_ZIP_ERRORS = (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)
"""Errors of zipfile for damaged archives."""


def check_archive(path: Path, *, max_bytes: int) -> None:
    """Check the table of an archive, without unpacking it.

    Raises:
        InvalidArchiveError: It is no zip, lacks a file, or has one that a model does not have.
        ModelTooLargeError: The files have more bytes than ``max_bytes``.
    """
    with _open_archive(path, max_bytes):
        pass


def unpack_archive(path: Path, folder: Path, *, max_bytes: int) -> None:
    """Unpack the files of a model into an existing folder, without the folder around them.

    Raises as ``check_archive``.
    """
    with _open_archive(path, max_bytes) as (archive, files):
        for name, info in files.items():
            # zipfile ends each file at the size in the table, whose sum was checked.
            with archive.open(info) as source, (folder / name).open("xb") as target:
                shutil.copyfileobj(source, target)


@contextmanager
def _open_archive(path: Path, max_bytes: int) -> Iterator[tuple[ZipFile, dict[str, ZipInfo]]]:
    try:
        with ZipFile(path) as archive:
            if path.stat().st_size - archive.start_dir > _TABLE_MAX_BYTES:
                raise InvalidArchiveError("The archive has too many entries. Zip the released directory alone.")
            yield archive, _check_table(archive.infolist(), max_bytes)
    except _ZIP_ERRORS as error:
        raise InvalidArchiveError(
            f"The archive is damaged or no zip ({error}). Zip the released directory again."
        ) from error


def _check_table(entries: list[ZipInfo], max_bytes: int) -> dict[str, ZipInfo]:
    files = [entry for entry in entries if not entry.is_dir()]
    folders = {entry.filename.rpartition("/")[0] for entry in files}
    names = {entry.filename.rpartition("/")[2]: entry for entry in files}
    if len(folders) != 1 or any(not _is_inside(folder) for folder in folders):
        raise InvalidArchiveError("The files of a model lie in one folder of the archive. Zip the released directory.")
    if unknown := sorted(set(names) - _REQUIRED_FILES - _OPTIONAL_FILES):
        raise InvalidArchiveError(f"A model has no file {unknown[0][:100]!r}. Zip the released directory alone.")
    if missing := sorted(_REQUIRED_FILES - set(names)):
        raise InvalidArchiveError(f"The archive lacks {', '.join(missing)}. Zip the released directory.")
    if len(names) != len(files):
        raise InvalidArchiveError("The archive has two files of one name. Zip the released directory again.")
    for entry in files:
        _check_entry(entry)
    if names["manifest.json"].file_size > _MANIFEST_MAX_BYTES:
        raise InvalidArchiveError("manifest.json has more than 1 MiB. Release the model again.")
    if sum(entry.file_size for entry in files) > max_bytes:
        raise ModelTooLargeError.of_limit(max_bytes)
    return names


def _is_inside(folder: str) -> bool:
    return not folder.startswith("/") and "\\" not in folder and ".." not in folder.split("/")


def _check_entry(entry: ZipInfo) -> None:
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
        raise InvalidArchiveError(f"{entry.filename[:100]!r} is a link. Zip the files themselves.")
    if entry.flag_bits & _ENCRYPTED:
        raise InvalidArchiveError("The archive is encrypted. Zip the released directory without a password.")
    if entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        # zipfile unpacks the others without a limit of memory.
        raise InvalidArchiveError("The archive uses another compression than deflate. Zip the directory with it.")
