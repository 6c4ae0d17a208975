"""Uploads in pieces: begun with a key, sent without one, complete when all bytes are there."""

import json

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.core.settings import Settings
from app.db.tables.uploads import ClipUpload
from app.infra.clip_storage import ClipStorage
from app.main import create_app
from app.maintenance.retention import Retention
from tests.conftest import API_KEY
from tests.support.api import MP4, SHA256, ChunkSender, Sessions, begin_upload, problem, submit_source


def test_a_browser_sends_pieces_and_the_backend_submits_them(api: TestClient) -> None:
    begun = begin_upload(api, sha256=SHA256)
    browser, source = ChunkSender(api, begun), {"upload_id": begun["id"]}
    assert (begun["status"], begun["received_bytes"], browser.offset()) == ("incomplete", 0, 0)
    answer = browser.send(0, MP4[:50])
    assert (answer.status_code, answer.headers["upload-offset"], answer.headers["upload-length"]) == (204, "50", "112")
    assert browser.offset() == 50
    problem(submit_source(api, source), 409, "upload_incomplete")
    assert api.get(f"/v1/uploads/{begun['id']}").json()["received_bytes"] == 50
    assert browser.send(50, MP4[50:]).headers["upload-offset"] == "112"
    ended = api.get(f"/v1/uploads/{begun['id']}").json()
    assert (ended["status"], ended["sha256"]) == ("complete", SHA256)
    assert browser.offset() == 112  # the answer to the last piece may have been lost
    job = submit_source(api, source).json()
    assert (job["clip"]["name"], job["clip"]["sha256"], job["clip"]["bytes"]) == ("a.mp4", SHA256, 112)


def test_a_piece_goes_to_the_end_and_nowhere_else(api: TestClient) -> None:
    browser = ChunkSender(api, begin_upload(api))
    problem(browser.send(10, MP4[10:]), 409, "offset_mismatch")
    browser.send(0, MP4[:50])
    problem(browser.send(0, MP4[:50]), 409, "offset_mismatch")
    problem(browser.send(50, MP4), 413, "clip_too_large")
    problem(browser.send(50, b"", **{"Content-Type": "text/plain"}), 415, "unsupported_media")
    problem(browser.send(50, b"", **{"Upload-Offset": "x"}), 400, "invalid_request")
    browser.send(50, MP4[50:])
    problem(browser.send(112, b"more"), 413, "clip_too_large")
    assert browser.send(112, b"").status_code == 409


def test_what_is_not_what_was_announced_begins_anew(api: TestClient) -> None:
    browser = ChunkSender(api, begin_upload(api, sha256="0" * 64))
    problem(browser.send(0, MP4), 422, "checksum_mismatch")
    assert browser.offset() == 0


def test_what_is_no_video_begins_anew(api: TestClient) -> None:
    browser = ChunkSender(api, begin_upload(api, bytes=8))
    problem(browser.send(0, b"%PDF-1.7"), 415, "unsupported_media")
    assert browser.offset() == 0


def test_an_upload_url_is_good_for_ten_minutes_and_can_be_renewed(api: TestClient, sessions: Sessions) -> None:
    begun = begin_upload(api)
    old = ChunkSender(api, begun)
    old.send(0, MP4[:50])
    renewed = api.post(f"/v1/uploads/{begun['id']}:renew-url").json()
    problem(old.send(50, MP4[50:]), 404, "not_found")
    assert ChunkSender(api, renewed).offset() == 50
    with sessions() as session, session.begin():
        upload = session.scalars(select(ClipUpload)).one()
        assert 595 < (upload.url_expires_at - upload.created_at).total_seconds() < 605
        upload.url_expires_at = upload.created_at
    problem(ChunkSender(api, renewed).send(50, MP4[50:]), 404, "not_found")


def test_a_clip_that_is_announced_too_large_is_refused(api: TestClient, settings: Settings) -> None:
    body = {"bytes": settings.clip_max_bytes + 1}
    problem(api.post("/v1/uploads", json=body), 413, "clip_too_large")


@pytest.mark.parametrize("is_complete", [False, True])
@pytest.mark.parametrize("way", ["deleted", "expired"])
def test_nothing_of_an_upload_stays(
    api: TestClient, sessions: Sessions, settings: Settings, clips: ClipStorage, *, way: str, is_complete: bool
) -> None:
    begun = begin_upload(api)
    ChunkSender(api, begun).send(0, MP4 if is_complete else MP4[:50])
    if way == "deleted":
        assert api.delete(f"/v1/uploads/{begun['id']}").status_code == 204
    else:
        with sessions() as session, session.begin():
            upload = session.scalars(select(ClipUpload)).one()
            upload.expires_at = upload.created_at
        with sessions() as session:
            Retention(clips, settings)(session)
    problem(api.get(f"/v1/uploads/{begun['id']}"), 404, "not_found")
    assert clips.partial.size_bytes(begun["id"]) == 0
    with pytest.raises(FileNotFoundError):
        clips.open_clip(SHA256)


def test_a_clip_goes_with_the_last_job_that_was_made_of_its_upload(api: TestClient, clips: ClipStorage) -> None:
    begun = begin_upload(api)
    ChunkSender(api, begun).send(0, MP4)
    source = {"upload_id": begun["id"]}
    jobs = [submit_source(api, source).json() for _ in range(2)]
    api.delete(jobs[0]["links"]["self"])
    clips.open_clip(SHA256).close()
    api.delete(jobs[1]["links"]["self"])
    with pytest.raises(FileNotFoundError):
        clips.open_clip(SHA256)
    problem(submit_source(api, source), 404, "not_found")


def test_a_page_of_another_origin_may_upload_where_the_operator_says_so(settings: Settings, sessions: Sessions) -> None:
    assert sessions
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "PATCH",
             "Access-Control-Request-Headers": "upload-offset,content-type,tus-resumable"}  # fmt: skip
    open_to = settings.model_copy(update={"cors_origins": ("https://app.example",)})
    for chosen, status in ((settings, 400), (open_to, 200)):
        with TestClient(create_app(chosen), headers={"Authorization": f"Bearer {API_KEY}"}) as api:
            url = begin_upload(api)["upload_url"]
            assert api.options(url, headers=asked).status_code == status
            answer = ChunkSender(api, {"upload_url": url}).send(0, MP4, Origin="https://app.example")
            assert ("access-control-allow-origin" in answer.headers) == (status == 200)


def test_secrets_of_upload_urls_are_in_no_log(capsys: pytest.CaptureFixture[str], api: TestClient) -> None:
    begun = begin_upload(api)
    ChunkSender(api, begun).send(0, MP4)
    logged = json.dumps(capsys.readouterr())
    assert "/v1/direct-uploads/..." in logged
    assert begun["upload_url"].rpartition("/")[2] not in logged
