"""Archives of models: what is unpacked, and what is refused with nothing left on the disk."""

import stat
import struct
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import pytest

from app.core.errors import InvalidArchiveError, ModelTooLargeError
from app.infra.model_archive import check_archive, unpack_archive

FILES = {"manifest.json": b"{}", "model.safetensors": b"weights", "model.onnx": b"graph", "MODEL_CARD.md": b"# Card"}
LIMIT = 10_000


def make_archive(
    path: Path, files: dict[str, bytes], *, folder: str = "released/", compression: int = ZIP_DEFLATED
) -> Path:
    with ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(folder + name, content)
    return path


def unpack(path: Path, tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "model"
    folder.mkdir()
    unpack_archive(path, folder, max_bytes=LIMIT)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("folder", ["", "released/", "a/b/"])
def test_files_are_unpacked_without_their_folder(tmp_path: Path, folder: str) -> None:
    assert unpack(make_archive(tmp_path / "m.zip", FILES, folder=folder), tmp_path) == FILES


def test_archive_made_by_the_zipfile_command_has_an_entry_for_its_folder(tmp_path: Path) -> None:
    released = tmp_path / "released"
    released.mkdir()
    for name, content in FILES.items():
        (released / name).write_bytes(content)
    with ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.write(released, "released/")
        for name in FILES:
            archive.write(released / name, f"released/{name}")
    assert unpack(tmp_path / "m.zip", tmp_path) == FILES


def add_link(path: Path) -> None:
    with ZipFile(path, "w") as archive:
        for name, content in FILES.items():
            entry = ZipInfo(name)
            entry.external_attr = ((stat.S_IFLNK if name == "model.onnx" else stat.S_IFREG) | 0o644) << 16
            archive.writestr(entry, content)


def encrypt(path: Path) -> None:
    content = bytearray(make_archive(path, FILES).read_bytes())
    offset = content.index(b"PK\x01\x02")
    struct.pack_into("<H", content, offset + 8, 1)  # the flag of the first entry in the table
    path.write_bytes(content)


UNSAFE: dict[str, Callable[[Path], object]] = {
    "a path outside": lambda path: make_archive(path, FILES, folder="../"),
    "a hidden path outside": lambda path: make_archive(path, FILES, folder="a/../../"),
    "an absolute path": lambda path: make_archive(path, FILES, folder="/etc/"),
    "a Windows path": lambda path: make_archive(path, FILES, folder="a\\..\\..\\"),
    "two folders": lambda path: make_archive(path, {**FILES, "deeper/model.onnx": b""}),
    "a pickle": lambda path: make_archive(path, {**FILES, "model.pt": b"\x80\x04."}),
    "a pickle in place of the weights": lambda path: make_archive(
        path, {name: text for name, text in {**FILES, "model.pkl": b"\x80\x04."}.items() if name != "model.safetensors"}
    ),
    "a file too few": lambda path: make_archive(path, {"manifest.json": b"{}"}),
    "a link": add_link,
    "a password": encrypt,
    "a compression without a limit": lambda path: make_archive(path, FILES, compression=ZIP_BZIP2),
    "no zip": lambda path: path.write_bytes(b"not a zip"),
    "nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("make", UNSAFE.values(), ids=UNSAFE)
def test_archive_that_is_no_model_is_refused_before_a_file_is_written(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "m.zip")
    with pytest.raises(InvalidArchiveError, match=r"[Zz]ip"):
        check_archive(tmp_path / "m.zip", max_bytes=LIMIT)
    with pytest.raises(InvalidArchiveError):
        unpack(tmp_path / "m.zip", tmp_path)
    assert list((tmp_path / "model").iterdir()) == []


def test_archive_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    zeros = make_archive(tmp_path / "m.zip", FILES | {"model.safetensors": bytes(LIMIT)})
    assert zeros.stat().st_size < LIMIT / 10
    with pytest.raises(ModelTooLargeError, match="UNMASK_MODEL_MAX_BYTES"):
        check_archive(zeros, max_bytes=LIMIT)


def test_file_ends_at_the_size_in_the_table(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "m.zip", FILES | {"model.safetensors": bytes(100 * LIMIT)})
    content = bytearray(path.read_bytes())
    size = struct.pack("<I", 100 * LIMIT)
    for offset in (content.index(size), content.rindex(size)):
        content[offset : offset + 4] = struct.pack("<I", 100)
    path.write_bytes(content)
    with pytest.raises(InvalidArchiveError):  # the checksum is that of the whole file
        unpack(path, tmp_path)
    assert sum(file.stat().st_size for file in (tmp_path / "model").iterdir()) <= LIMIT


@pytest.mark.parametrize("compression", [ZIP_STORED, ZIP_DEFLATED])
def test_archive_with_a_flipped_byte_is_refused_or_unchanged(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "m.zip"
    weights = np.random.default_rng(0).integers(0, 8, 4000, np.uint8).tobytes()
    with ZipFile(path, "w", compression) as archive:
        for name, content in (FILES | {"model.safetensors": weights}).items():
            archive.writestr(name, content)
    original = path.read_bytes()
    refused = 0
    for number, position in enumerate(range(0, len(original), 11)):
        damaged = bytearray(original)
        damaged[position] ^= 1 << number % 8
        path.write_bytes(damaged)
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        try:
            unpack_archive(path, folder, max_bytes=LIMIT)
        except (InvalidArchiveError, ModelTooLargeError):
            refused += 1
        else:
            assert (folder / "model.safetensors").read_bytes() == weights
    assert refused > 50


def test_manifest_and_table_have_limits_of_their_own(tmp_path: Path) -> None:
    large = make_archive(tmp_path / "m.zip", FILES | {"manifest.json": bytes(2**20 + 1)})
    with pytest.raises(InvalidArchiveError, match="1 MiB"):
        check_archive(large, max_bytes=10**9)
    with ZipFile(tmp_path / "n.zip", "w") as archive:
        for number in range(2000):
            archive.writestr(f"file-{number}", b"")
    with pytest.raises(InvalidArchiveError, match="too many"):
        check_archive(tmp_path / "n.zip", max_bytes=10**9)
