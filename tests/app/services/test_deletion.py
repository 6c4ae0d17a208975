"""Deletion: a clip is deleted with its last reference, an upload with all its files."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.core.settings import Settings
from app.db.tables.uploads import ClipUpload
from app.infra.clip_storage import ClipStorage
from app.maintenance.retention import Retention
from tests.support.api import MP4, SHA256, ChunkSender, Sessions, begin_upload, problem, submit, submit_source


def test_clip_is_deleted_with_its_last_job(api: TestClient, storage: ClipStorage) -> None:
    first, second = submit(api), submit(api)
    api.delete(first["links"]["self"])
    storage.open_clip(first["clip"]["sha256"]).close()
    api.delete(second["links"]["self"])
    with pytest.raises(FileNotFoundError):
        storage.open_clip(first["clip"]["sha256"])


def test_clip_named_by_another_job_is_kept(api: TestClient, storage: ClipStorage) -> None:
    first = submit(api)
    submit_source(api, {"sha256": SHA256})
    api.delete(first["links"]["self"])
    storage.open_clip(SHA256).close()


def test_clip_of_upload_is_deleted_with_its_last_job(api: TestClient, storage: ClipStorage) -> None:
    begun = begin_upload(api)
    ChunkSender(api, begun).send_chunk(0, MP4)
    source = {"upload_id": begun["id"]}
    jobs = [submit_source(api, source).json() for _ in range(2)]
    api.delete(jobs[0]["links"]["self"])
    storage.open_clip(SHA256).close()
    api.delete(jobs[1]["links"]["self"])
    with pytest.raises(FileNotFoundError):
        storage.open_clip(SHA256)
    problem(submit_source(api, source), 404, "not_found")


@pytest.mark.parametrize("is_complete", [False, True])
@pytest.mark.parametrize("end", ["deleted", "expired"])
def test_deleted_or_expired_upload_leaves_no_file(
    api: TestClient, sessions: Sessions, settings: Settings, storage: ClipStorage, *, end: str, is_complete: bool
) -> None:
    begun = begin_upload(api)
    ChunkSender(api, begun).send_chunk(0, MP4 if is_complete else MP4[:50])
    if end == "deleted":
        assert api.delete(f"/v1/uploads/{begun['id']}").status_code == 204
    else:
        with sessions() as session, session.begin():
            upload = session.scalars(select(ClipUpload)).one()
            upload.expires_at = upload.created_at
        with sessions() as session:
            Retention(storage, settings)(session)
    problem(api.get(f"/v1/uploads/{begun['id']}"), 404, "not_found")
    assert storage.partial.size_bytes(begun["id"]) == 0
    with pytest.raises(FileNotFoundError):
        storage.open_clip(SHA256)
