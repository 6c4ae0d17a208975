"""Routes of uploads: created with a key, sent without one, submitted when complete."""

import base64

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.core.settings import Settings
from app.db.tables.uploads import ClipUpload
from tests.support.api import MP4, SHA256, ChunkSender, Sessions, begin_upload, make_client, problem, submit_source


def test_upload_sent_in_chunks_is_submitted_when_complete(api: TestClient) -> None:
    begun = begin_upload(api, sha256=SHA256)
    browser, source = ChunkSender(api, begun), {"upload_id": begun["id"]}
    assert (begun["status"], begun["received_bytes"], browser.read_offset()) == ("incomplete", 0, 0)
    answer = browser.send_chunk(0, MP4[:50])
    assert (answer.status_code, answer.headers["upload-offset"], answer.headers["upload-length"]) == (204, "50", "112")
    assert browser.read_offset() == 50
    problem(submit_source(api, source), 409, "upload_incomplete")
    assert api.get(f"/v1/uploads/{begun['id']}").json()["received_bytes"] == 50
    assert browser.send_chunk(50, MP4[50:]).headers["upload-offset"] == "112"
    ended = api.get(f"/v1/uploads/{begun['id']}").json()
    assert (ended["status"], ended["sha256"]) == ("complete", SHA256)
    assert browser.read_offset() == 112  # the answer to the last chunk may have been lost
    job = submit_source(api, source).json()
    assert (job["clip"]["name"], job["clip"]["sha256"], job["clip"]["bytes"]) == ("a.mp4", SHA256, 112)


def test_upload_url_expires_after_ten_minutes_and_can_be_renewed(api: TestClient, sessions: Sessions) -> None:
    begun = begin_upload(api)
    old = ChunkSender(api, begun)
    old.send_chunk(0, MP4[:50])
    renewed = api.post(f"/v1/uploads/{begun['id']}:renew-url").json()
    problem(old.send_chunk(50, MP4[50:]), 404, "not_found")
    assert ChunkSender(api, renewed).read_offset() == 50
    with sessions() as session, session.begin():
        upload = session.scalars(select(ClipUpload)).one()
        assert 595 < (upload.url_expires_at - upload.created_at).total_seconds() < 605
        upload.url_expires_at = upload.created_at
    problem(ChunkSender(api, renewed).send_chunk(50, MP4[50:]), 404, "not_found")


def test_upload_announced_too_large_is_refused(api: TestClient, settings: Settings) -> None:
    body = {"bytes": settings.clip_max_bytes + 1}
    problem(api.post("/v1/uploads", json=body), 413, "clip_too_large")


def test_page_of_other_origin_uploads_only_if_configured(settings: Settings, sessions: Sessions) -> None:
    assert sessions
    preflight = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "upload-offset,content-type,tus-resumable",
    }
    open_to_app = settings.model_copy(update={"cors_origins": ("https://app.example",)})
    for chosen, status in ((settings, 400), (open_to_app, 200)):
        with make_client(chosen) as api:
            url = begin_upload(api)["upload_url"]
            assert api.options(url, headers=preflight).status_code == status
            answer = ChunkSender(api, {"upload_url": url}).send_chunk(0, MP4, Origin="https://app.example")
            assert ("access-control-allow-origin" in answer.headers) == (status == 200)


def test_upload_created_by_tus_is_sent_and_submitted(api: TestClient) -> None:
    name = base64.b64encode("Ärger.mp4".encode()).decode()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(MP4)), "Upload-Metadata": f"filename {name},private"}
    answer = api.post("/v1/direct-uploads/", headers=headers)
    assert (answer.status_code, answer.headers["tus-resumable"]) == (201, "1.0.0")
    created = answer.json()
    assert (created["name"], created["upload_url"]) == ("Ärger.mp4", answer.headers["location"])
    ChunkSender(api, created).send_chunk(0, MP4)
    assert submit_source(api, {"upload_id": created["id"]}).json()["clip"]["name"] == "Ärger.mp4"


@pytest.mark.parametrize(
    ("headers", "pointer"),
    [
        ({}, "/header/upload-length"),
        ({"Upload-Length": "0"}, "/header/upload-length"),
        ({"Upload-Length": "9", "Upload-Metadata": "filename ***"}, "/header/upload-metadata"),
        ({"Upload-Length": "9", "Upload-Metadata": "filename /w=="}, "/header/upload-metadata"),
        ({"Upload-Length": "9", "Upload-Metadata": f"filename {'QUFB' * 100}"}, "/header/upload-metadata"),
    ],
)
def test_invalid_header_of_tus_creation_is_named(api: TestClient, headers: dict[str, str], pointer: str) -> None:
    answer = problem(api.post("/v1/direct-uploads", headers=headers), 400, "invalid_request")
    assert [error["pointer"] for error in answer["errors"]] == [pointer]


def test_tus_creation_needs_a_key(keyless_api: TestClient) -> None:
    problem(keyless_api.post("/v1/direct-uploads", headers={"Upload-Length": "9"}), 401, "unauthorized")
