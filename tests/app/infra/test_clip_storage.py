"""Clip storage: clips are stored by hash, failed uploads leave no file, a full disk raises StorageFullError."""

import hashlib
import os
import resource
import time
from datetime import timedelta
from pathlib import Path

import pytest

from app.core.errors import StorageFullError
from app.infra.clip_storage import ClipStorage, make_storage

CONTENT = b"clip" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def store_clip(storage: ClipStorage, content: bytes) -> str:
    with storage.begin_upload(expected_bytes=len(content)) as upload:
        upload.write(content)
        sha256 = upload.finish()
        storage.store_upload(upload, sha256)
    return sha256


def list_files(storage: ClipStorage) -> list[Path]:
    return [path for path in storage._root.rglob("*") if path.is_file()]


def test_stored_clip_is_readable_by_its_hash(storage: ClipStorage) -> None:
    assert store_clip(storage, CONTENT) == SHA256
    with storage.open_clip(SHA256) as clip:
        assert clip.read() == CONTENT
    assert [path.name for path in list_files(storage)] == [SHA256]


def test_equal_clips_share_one_file(storage: ClipStorage) -> None:
    store_clip(storage, CONTENT)
    store_clip(storage, CONTENT)
    assert len(list_files(storage)) == 1


def test_interrupted_upload_leaves_no_file(storage: ClipStorage) -> None:
    with pytest.raises(RuntimeError), storage.begin_upload(expected_bytes=0) as upload:
        upload.write(CONTENT)
        raise RuntimeError
    assert list_files(storage) == []


def test_deleted_clip_is_missing_and_second_deletion_is_no_error(storage: ClipStorage) -> None:
    store_clip(storage, CONTENT)
    storage.delete_clip(SHA256)
    storage.delete_clip(SHA256)
    with pytest.raises(FileNotFoundError):
        storage.open_clip(SHA256)


def test_upload_into_reserved_space_raises_storage_full(tmp_path: Path) -> None:
    storage = ClipStorage(tmp_path, reserve_bytes=2**60)
    with pytest.raises(StorageFullError):
        storage.begin_upload(expected_bytes=1)
    assert not storage.is_writable()


def test_upload_to_full_disk_raises_storage_full_and_leaves_no_file(storage: ClipStorage) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageFullError), storage.begin_upload(expected_bytes=0) as upload:
            upload.write(b"x" * 100_000)
            upload.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list_files(storage) == []


def test_sweep_deletes_only_stale_uploads(storage: ClipStorage) -> None:
    old, new = storage._incoming / "old", storage._incoming / "new"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    storage.sweep_incoming(older_than=timedelta(hours=1))
    assert list_files(storage) == [new]


def test_storage_url_other_than_file_raises_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="file:///"):
        make_storage("s3://bucket", reserve_bytes=0)
    make_storage((tmp_path / "with space").as_uri(), reserve_bytes=0)
    assert (tmp_path / "with space").is_dir()
