"""The API over HTTP, on a real database and queue; no worker, so jobs stay queued unless a test moves them."""

import base64
import csv
import io
import json
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.core.enums import FailureCode
from app.core.settings import Settings
from app.infra.clip_storage import make_storage
from app.main import create_app
from app.services import attempts
from tests.conftest import API_KEY
from tests.support.api import MP4, Sessions, finish, problem, submit


def test_a_submitted_clip_is_a_queued_job(api: TestClient) -> None:
    first = submit(api, external_id="post-1", metadata={"queue": "ugc"})
    second = submit(api)
    assert (first["status"], first["external_id"], first["metadata"]) == ("queued", "post-1", {"queue": "ugc"})
    assert (first["clip"]["name"], first["clip"]["bytes"]) == ("a.mp4", len(MP4))
    assert (first["queue_position"], second["queue_position"]) == (0, 1)


def test_a_raw_upload_takes_its_options_from_a_header(api: TestClient) -> None:
    headers = {"Content-Type": "application/octet-stream", "Unmask-Options": '{"external_id": "raw"}'}
    response = api.post("/v1/jobs", content=MP4, headers=headers)
    assert response.status_code == 202
    assert response.headers["location"] == response.json()["links"]["self"]
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["external_id"] == "raw"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dTpw"}])
def test_without_the_key_nothing_is_told(api: TestClient, headers: dict[str, str]) -> None:
    del api.headers["Authorization"]
    for method, path in [("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/v1/unknown"), ("DELETE", "/v1/jobs/x")]:
        response = api.request(method, path, headers=headers)
        problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"


def test_the_key_may_come_as_x_api_key(api: TestClient) -> None:
    del api.headers["Authorization"]
    assert api.get("/v1/jobs", headers={"X-API-Key": API_KEY}).status_code == 200


def test_health_needs_no_key(api: TestClient) -> None:
    del api.headers["Authorization"]
    assert api.get("/livez").json() == {"status": "ok", "checks": {}}
    ready = api.get("/readyz").json()
    assert ready == {"status": "ok", "checks": {"database": "ok", "storage": "ok", "queue": "ok"}}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_clip_that_is_too_large_is_refused(settings: Settings, chunked: bool) -> None:
    small = settings.model_copy(update={"clip_max_bytes": 1000, "options_max_bytes": 10})
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/octet-stream"}
    body: Any = (MP4 for _ in range(200)) if chunked else MP4 * 200
    with TestClient(create_app(small), headers=headers) as api:
        body = problem(api.post("/v1/jobs", content=body), 413, "clip_too_large")
    assert "1000 bytes" in body["detail"]


@pytest.mark.parametrize("chunked", [False, True])
def test_json_that_is_too_large_is_not_parsed(settings: Settings, sessions: Sessions, chunked: bool) -> None:
    assert sessions
    small = settings.model_copy(update={"json_max_bytes": 1000})
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}

    def large() -> Any:
        return iter([b" " * 600, b" " * 600]) if chunked else b" " * 1200

    with TestClient(create_app(small), headers=headers) as api:
        for path in ("/v1/batches", "/v1/jobs"):
            problem(api.post(path, content=large()), 413, "request_too_large")
        problem(api.post(f"/v1/jobs/job_{0:032}/feedback", content=b" " * 1200), 413, "request_too_large")
        api.headers["Content-Type"] = "application/octet-stream"
        assert api.post("/v1/jobs", content=MP4 + bytes(2000)).status_code == 202


def test_what_is_no_video_is_refused(api: TestClient) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(600)
    problem(api.post("/v1/jobs", files={"file": ("a.png", png)}), 415, "unsupported_media")
    problem(api.post("/v1/jobs", files={"file": ("a.mp4", b"")}), 415, "unsupported_media")
    assert api.get("/v1/jobs").json()["items"] == []


def test_bad_options_are_pointed_at(api: TestClient) -> None:
    files: Any = {"file": ("a.mp4", MP4), "options": (None, '{"external_id": 5}', "application/json")}
    body = problem(api.post("/v1/jobs", files=files), 400, "invalid_request")
    assert [field["pointer"] for field in body["errors"]] == ["/options/external_id"]


def test_text_that_postgres_cannot_store_is_refused(api: TestClient) -> None:
    for options in ('{"external_id": "a\\u0000b"}', '{"metadata": {"a": "\\u0000"}}', '{"external_id": "\\ud800"}'):
        files: Any = {"file": ("a.mp4", MP4), "options": (None, options, "application/json")}
        problem(api.post("/v1/jobs", files=files), 400, "invalid_request")
    problem(api.get("/v1/jobs?external_id=%00"), 400, "invalid_request")
    files = {"file": ("a\x00\ud800.mp4".encode("utf-8", "replace").decode(), MP4)}
    assert api.post("/v1/jobs", files=files).status_code == 202


@pytest.mark.parametrize("job_id", ["job_" + "0" * 32, "job_xyz", "0" * 32, "nonsense", "job_" + "g" * 32])
def test_an_unknown_job_is_not_found(api: TestClient, job_id: str) -> None:
    for method, path in [("GET", ""), ("GET", "/result"), ("GET", "/frames"), ("POST", ":cancel"), ("DELETE", "")]:
        problem(api.request(method, f"/v1/jobs/{job_id}{path}"), 404, "not_found")


def test_unknown_paths_and_methods_are_problems_too(api: TestClient) -> None:
    problem(api.get("/v1/unknown"), 404, "not_found")
    unknown = "/v1/jobs/job_" + "0" * 32
    for path, allowed in [("/v1/jobs", "GET, POST"), (unknown, "DELETE, GET"), (unknown + ":cancel", "POST")]:
        response = api.put(path)
        problem(response, 405, "method_not_allowed")
        assert response.headers["allow"] == allowed


def test_a_harmless_request_id_is_kept_another_replaced(api: TestClient) -> None:
    assert api.get("/livez", headers={"X-Request-Id": "trace-1"}).headers["x-request-id"] == "trace-1"
    assert api.get("/livez", headers={"X-Request-Id": "a b\t{}"}).headers["x-request-id"].startswith("req_")


def test_jobs_are_listed_newest_first_page_by_page(api: TestClient) -> None:
    ids = [submit(api)["id"] for _ in range(5)]
    seen: list[str] = []
    url = "/v1/jobs?limit=2"
    while url:
        response = api.get(url)
        seen += [job["id"] for job in response.json()["items"]]
        url = response.links.get("next", {}).get("url", "")
    assert seen == ids[::-1]


def test_jobs_are_filtered(api: TestClient, sessions: Sessions) -> None:
    first, second = submit(api, external_id="a"), submit(api, MP4 + b"x", external_id="b")
    finish(sessions)
    found = {
        query: [job["id"] for job in api.get("/v1/jobs", params=query).json()["items"]]
        for query in (
            "status=queued",
            "verdict=AUTHENTIC",
            "external_id=b",
            f"sha256={first['clip']['sha256']}",
            "created_after=2999-01-01T00:00:00Z",
        )
    }
    assert list(found.values()) == [[second["id"]], [first["id"]], [second["id"]], [first["id"]], []]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/query/limit"),
        ("limit=1001", "/query/limit"),
        ("cursor=%21%21", "/query/cursor"),
        ("cursor=bm9wZQ", "/query/cursor"),
        ("status=done", "/query/status"),
        ("sha256=zz", "/query/sha256"),
        ("created_after=2026-01-01T00:00:00", "/query/created_after"),
        ("colour=red", "/query/colour"),
    ],
)
def test_a_bad_query_is_pointed_at(api: TestClient, query: str, pointer: str) -> None:
    body = problem(api.get(f"/v1/jobs?{query}"), 400, "invalid_request")
    assert [field["pointer"] for field in body["errors"]] == [pointer]


@pytest.mark.parametrize("position", [-1, 2**31, 2**63])
def test_a_cursor_that_no_column_holds_is_not_one_of_ours(api: TestClient, sessions: Sessions, position: int) -> None:
    job = submit(api)
    finish(sessions, frames=1)
    forged = {"cursor": base64.urlsafe_b64encode(str(position).encode()).decode()}
    body = problem(api.get(job["links"]["frames"], params=forged), 400, "invalid_request")
    assert [field["pointer"] for field in body["errors"]] == ["/query/cursor"]
    late = api.get("/v1/audit-events", params=forged)
    assert late.status_code == (200 if position == 2**31 else 400)


def test_a_body_that_is_no_json_has_no_place_to_point_at(api: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/policies", "/v1/jobs"):
        body = problem(api.post(path, content=b'{"name": "x",', headers=headers), 400, "invalid_request")
        assert [field["pointer"] for field in body["errors"]] == [""]


def test_a_job_that_did_not_change_answers_304(api: TestClient, sessions: Sessions) -> None:
    url = submit(api)["links"]["self"]
    etag = api.get(url).headers["etag"]
    unchanged = api.get(url, headers={"If-None-Match": f'"other", {etag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    finish(sessions)
    changed = api.get(url, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()["status"]) == (200, "succeeded")
    assert "retry-after" not in changed.headers


def test_waiting_ends_with_the_job(api: TestClient, sessions: Sessions) -> None:
    url = submit(api)["links"]["self"]
    threading.Timer(0.4, finish, [sessions]).start()
    start = time.monotonic()
    assert api.get(url, params={"wait": 20}).json()["status"] == "succeeded"
    assert 0.3 < time.monotonic() - start < 1.3


def test_waiting_ends_with_its_time(api: TestClient) -> None:
    url = submit(api)["links"]["self"]
    assert api.get(url, params={"wait": 0.2}).json()["status"] == "queued"
    problem(api.get(url, params={"wait": -1}), 400, "invalid_request")


def test_there_is_no_result_before_the_end(api: TestClient, sessions: Sessions) -> None:
    job = submit(api)
    waiting = api.get(job["links"]["result"])
    problem(waiting, 409, "no_result")
    assert waiting.headers["retry-after"] == "1"
    problem(api.get(job["links"]["frames"]), 409, "no_result")
    finish(sessions)
    assert api.get(job["links"]["result"]).json() == api.get(job["links"]["self"]).json()["result"]


def test_frames_come_as_json_ndjson_and_csv(api: TestClient, sessions: Sessions) -> None:
    url = submit(api)["links"]["frames"]
    finish(sessions, frames=5)
    pages = [api.get(url, params={"limit": 3})]
    pages.append(api.get(pages[0].links["next"]["url"]))
    rows = [row for page in pages for row in page.json()["items"]]
    assert [row["pts_seconds"] for row in rows] == [0.0, 0.04, 0.08, 0.12, 0.16]
    assert pages[1].json()["next_cursor"] is None
    lines = api.get(url, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == rows
    table = api.get(url, headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert [float(row["pts_seconds"]) for row in csv.DictReader(io.StringIO(table.text))] == [
        0.0,
        0.04,
        0.08,
        0.12,
        0.16,
    ]


def test_a_canceled_job_stays_canceled(api: TestClient) -> None:
    job = submit(api)
    url = f"{job['links']['self']}:cancel"
    assert api.post(url).json()["status"] == "canceled"
    problem(api.post(url), 409, "not_cancelable")
    problem(api.get(job["links"]["result"]), 409, "no_result")


def test_a_deleted_job_leaves_a_tombstone_and_no_clip(api: TestClient, settings: Settings, sessions: Sessions) -> None:
    job = submit(api, external_id="private")
    finish(sessions, frames=2)
    assert api.delete(job["links"]["self"]).status_code == 204
    for method, path in [("GET", ""), ("GET", "/result"), ("GET", "/frames"), ("POST", ":cancel"), ("DELETE", "")]:
        problem(api.request(method, job["links"]["self"] + path), 410, "gone_deleted")
    assert api.get("/v1/jobs").json()["items"] == []
    storage = make_storage(str(settings.storage_url), reserve_bytes=0)
    with pytest.raises(FileNotFoundError):
        storage.open_clip(job["clip"]["sha256"])


def test_a_clip_that_another_job_needs_is_kept(api: TestClient, settings: Settings) -> None:
    first, second = submit(api), submit(api)
    storage = make_storage(str(settings.storage_url), reserve_bytes=0)
    api.delete(first["links"]["self"])
    storage.open_clip(first["clip"]["sha256"]).close()
    api.delete(second["links"]["self"])
    with pytest.raises(FileNotFoundError):
        storage.open_clip(first["clip"]["sha256"])


def test_a_failure_has_a_code(api: TestClient, sessions: Sessions) -> None:
    url = submit(api)["links"]["self"]
    with sessions() as session:
        attempt = attempts.claim_job(session, worker="w", lease=timedelta(minutes=1))
        assert attempt is not None
        attempts.fail(session, attempt, code=FailureCode.ENCRYPTED_MEDIA, message="It is encrypted.", retryable=False)
    assert api.get(url).json()["failure"] == {
        "code": "encrypted_media",
        "message": "It is encrypted.",
        "retryable": False,
        "attempt": 1,
    }


def test_without_database_requests_are_told_to_come_back(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    with TestClient(create_app(away), headers={"X-API-Key": API_KEY}) as api:
        response = api.get("/v1/jobs")
        problem(response, 503, "overloaded")
        assert int(response.headers["retry-after"]) > 0
        assert api.get("/readyz").status_code == 503
        assert api.get("/livez").status_code == 200


@pytest.mark.usefixtures("sessions")
def test_a_defect_is_a_problem_with_the_id_of_its_log_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("app.services.jobs.list_jobs", break_down)
    with TestClient(create_app(settings), headers={"X-API-Key": API_KEY}) as api:
        body = problem(api.get("/v1/jobs"), 500, "internal")
    log = capsys.readouterr().err
    assert body["request_id"] in log
    assert "RuntimeError: a defect" in log
    assert API_KEY not in log  # nor any other variable of the frames
    assert log.count("Traceback") == 1


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/jobs", "/metrics", "/docs/x", "/livez/x"])
def test_what_is_not_public_needs_the_key(api: TestClient, path: str) -> None:
    del api.headers["Authorization"]
    problem(api.get(path), 401, "unauthorized")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("image/png", "application/json"),
        ("text/csv;q=0, application/json", "application/json"),
        ("TEXT/CSV", "text/csv; charset=utf-8"),
        ("application/json;q=0.5, application/x-ndjson;q=0.9", "application/x-ndjson"),
        ("text/csv;q=nonsense", "application/json"),
    ],
)
def test_accept_chooses_the_format(api: TestClient, sessions: Sessions, accept: str, media_type: str) -> None:
    url = submit(api)["links"]["frames"]
    finish(sessions, frames=1)
    assert api.get(url, headers={"Accept": accept}).headers["content-type"] == media_type


def test_a_body_that_is_no_json_is_a_bad_request(api: TestClient) -> None:
    for content in (b"\xff", b"{"):
        headers = {"Content-Type": "application/json"}
        problem(api.post("/v1/webhook-endpoints", content=content, headers=headers), 400, "invalid_request")


def test_no_error_of_the_database_carries_what_clients_say(engine: Engine) -> None:
    with pytest.raises(SQLAlchemyError) as error, engine.connect() as connection:
        connection.execute(text("SELECT CAST(:secret AS integer)"), {"secret": "whsec_canary"})
    assert "[SQL parameters hidden" in str(error.value)
