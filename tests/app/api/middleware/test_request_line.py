"""Request line: HEAD of every path with GET, overridden methods of tus, paths that end with a slash."""

import pytest
from fastapi.testclient import TestClient

from tests.support.api import MP4, begin_upload, problem, submit


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v1/jobs", "/v1/policies", "/openapi.json", "/docs"])
def test_head_has_the_headers_of_get_and_no_body(api: TestClient, path: str) -> None:
    got, head = api.get(path), api.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_head_of_an_endless_stream_of_events_ends(api: TestClient) -> None:
    job = submit(api)
    head = api.head(f"{job['links']['self']}/events", headers={"Accept": "text/event-stream"})
    assert (head.status_code, head.content) == (200, b"")


def test_head_of_an_unknown_job_is_404(api: TestClient) -> None:
    assert api.head("/v1/jobs/job_00000000000000000000000000000000").status_code == 404


def test_chunk_by_post_with_overridden_method_is_stored(keyless_api: TestClient, api: TestClient) -> None:
    url = begin_upload(api)["upload_url"]
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    headers["Content-Type"] = "Application/Offset+Octet-Stream; charset=binary"
    assert keyless_api.post(url, content=MP4, headers=headers).status_code == 204
    assert keyless_api.head(url).headers["upload-offset"] == str(len(MP4))


def test_other_version_of_tus_is_refused_with_ours(api: TestClient) -> None:
    url = begin_upload(api)["upload_url"]
    response = api.patch(url, content=MP4, headers={"Tus-Resumable": "0.2.2", "Upload-Offset": "0"})
    problem(response, 412, "tus_version_unsupported")
    assert response.headers["tus-version"] == "1.0.0"
    assert api.head(url, headers={"Tus-Resumable": "0.2.2"}).status_code == 412
    assert api.post(url, content=MP4).status_code == 405


def test_compressed_body_is_refused_by_its_encoding(api: TestClient) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"}
    detail = problem(api.post("/v1/jobs", content=b"\x1f\x8b", headers=headers), 415, "unsupported_media")["detail"]
    assert "gzip" in detail


def test_last_slash_of_a_path_is_ignored(api: TestClient) -> None:
    job = submit(api)
    assert api.get("/v1/jobs/", follow_redirects=False).json()["items"][0]["id"] == job["id"]
    assert api.get(f"{job['links']['self']}/", follow_redirects=False).status_code == 200
    assert api.post("/v1/jobs/", files={"file": MP4}, follow_redirects=False).status_code == 202


def test_root_leads_to_the_documentation(keyless_api: TestClient) -> None:
    response = keyless_api.get("/", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (307, "/docs")
