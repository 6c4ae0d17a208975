"""Clips on disk: durable under their hash, gone when refused, a full disk is said."""

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


def keep(storage: ClipStorage, content: bytes) -> str:
    with storage.begin_upload(expected_bytes=len(content)) as upload:
        upload.write(content)
        sha256 = upload.finish()
        storage.keep(upload, sha256)
    return sha256


def files(storage: ClipStorage) -> list[Path]:
    return [path for path in storage._root.rglob("*") if path.is_file()]


def test_a_clip_is_kept_under_its_hash(storage: ClipStorage) -> None:
    assert keep(storage, CONTENT) == SHA256
    with storage.open_clip(SHA256) as clip:
        assert clip.read() == CONTENT
    assert [path.name for path in files(storage)] == [SHA256]


def test_the_same_bytes_are_kept_once(storage: ClipStorage) -> None:
    keep(storage, CONTENT)
    keep(storage, CONTENT)
    assert len(files(storage)) == 1


def test_an_upload_that_breaks_off_leaves_nothing(storage: ClipStorage) -> None:
    with pytest.raises(RuntimeError), storage.begin_upload(expected_bytes=0) as upload:
        upload.write(CONTENT)
        raise RuntimeError
    assert files(storage) == []


def test_a_deleted_clip_is_gone_and_deleting_it_again_is_no_error(storage: ClipStorage) -> None:
    keep(storage, CONTENT)
    storage.delete_clip(SHA256)
    storage.delete_clip(SHA256)
    with pytest.raises(FileNotFoundError):
        storage.open_clip(SHA256)


def test_the_reserve_is_kept(tmp_path: Path) -> None:
    storage = ClipStorage(tmp_path, reserve_bytes=2**60)
    with pytest.raises(StorageFullError):
        storage.begin_upload(expected_bytes=1)
    assert not storage.is_writable()


def test_a_full_disk_is_said_and_leaves_nothing(storage: ClipStorage) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageFullError), storage.begin_upload(expected_bytes=0) as upload:
            upload.write(b"x" * 100_000)
            upload.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(storage) == []


def test_only_abandoned_uploads_are_swept(storage: ClipStorage) -> None:
    old, new = storage._incoming / "old", storage._incoming / "new"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    storage.sweep_incoming(older_than=timedelta(hours=1))
    assert files(storage) == [new]


def test_an_unknown_storage_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="file:///"):
        make_storage("s3://bucket", reserve_bytes=0)
    make_storage((tmp_path / "with space").as_uri(), reserve_bytes=0)
    assert (tmp_path / "with space").is_dir()
