"""Submissions over HTTP: forms, raw bodies, named sources, options, and ``Prefer: wait``."""

import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from tests.support.api import MP4, SHA256, Sessions, finish, make_client, post_clip, problem, submit, submit_source

URL = "https://cdn.example.com/a.mp4"


def test_raw_upload_has_its_options_in_a_header(api: TestClient) -> None:
    headers = {"Content-Type": "application/octet-stream", "Unmask-Options": '{"external_id": "raw"}'}
    response = api.post("/v1/jobs", content=MP4, headers=headers)
    assert response.status_code == 202
    assert response.headers["location"] == response.json()["links"]["self"]
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["external_id"] == "raw"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_too_large_clip_is_refused(settings: Settings, *, is_chunked: bool) -> None:
    small = settings.model_copy(update={"clip_max_bytes": 1000, "options_max_bytes": 10})
    content: Any = (MP4 for _ in range(200)) if is_chunked else MP4 * 200
    with make_client(small) as api:
        response = api.post("/v1/jobs", content=content, headers={"Content-Type": "application/octet-stream"})
        body = problem(response, 413, "clip_too_large")
    assert "1000 bytes" in body["detail"]


def test_file_that_is_no_video_is_refused(api: TestClient) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(600)
    problem(api.post("/v1/jobs", files={"file": ("a.png", png)}), 415, "unsupported_media")
    problem(api.post("/v1/jobs", files={"file": ("a.mp4", b"")}), 415, "unsupported_media")
    assert api.get("/v1/jobs").json()["items"] == []


def test_invalid_option_of_a_form_is_named(api: TestClient) -> None:
    body = problem(post_clip(api, external_id=5), 400, "invalid_request")
    assert [field["pointer"] for field in body["errors"]] == ["/options/external_id"]


def test_text_that_postgres_cannot_store_is_refused(api: TestClient) -> None:
    for options in ('{"external_id": "a\\u0000b"}', '{"metadata": {"a": "\\u0000"}}', '{"external_id": "\\ud800"}'):
        files: Any = {"file": ("a.mp4", MP4), "options": (None, options, "application/json")}
        problem(api.post("/v1/jobs", files=files), 400, "invalid_request")
    problem(api.get("/v1/jobs?external_id=%00"), 400, "invalid_request")
    files = {"file": ("a\x00\ud800.mp4".encode("utf-8", "replace").decode(), MP4)}
    assert api.post("/v1/jobs", files=files).status_code == 202


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/source"),
        ({"source": {}}, "/source"),
        ({"source": {"url": URL, "sha256": SHA256}}, "/source"),
        ({"source": {"sha256": "x"}}, "/source/sha256"),
        ({"source": {"sha256": SHA256}, "options": {"priority": "now"}}, "/options/priority"),
        ({"source": {"sha256": SHA256}, "more": 1}, "/more"),
    ],
)
def test_invalid_field_of_a_source_is_named(api: TestClient, body: dict[str, Any], pointer: str) -> None:
    found = problem(api.post("/v1/jobs", json=body), 400, "invalid_request")
    assert [field["pointer"] for field in found["errors"]] == [pointer]


def test_too_long_url_is_refused(api: TestClient) -> None:
    problem(submit_source(api, {"url": URL + "a" * 70_000}), 400, "invalid_request")


def test_priority_and_deadline_are_set_at_submission(api: TestClient) -> None:
    batch, live = submit(api, priority="batch", start_within_seconds=3600), submit(api)
    assert (batch["priority"], live["priority"]) == ("batch", "live")
    assert api.get(f"/v1/jobs/{live['id']}").json()["queue_position"] == 0
    assert api.get(f"/v1/jobs/{batch['id']}").json()["queue_position"] == 1
    left = datetime.fromisoformat(batch["start_before"]) - datetime.fromisoformat(batch["created_at"])
    assert abs(left - timedelta(hours=1)) < timedelta(seconds=5)
    assert live["start_before"] is None


def test_prefer_wait_returns_the_finished_job(api: TestClient, sessions: Sessions) -> None:
    threading.Timer(0.5, finish, [sessions]).start()
    response = post_clip(api, headers={"Prefer": "respond-async, wait=20"})
    assert (response.status_code, response.json()["status"]) == (200, "succeeded")
    assert response.headers["preference-applied"] == "wait=20"


def test_prefer_wait_returns_the_queued_job_after_its_time(api: TestClient) -> None:
    start = time.monotonic()
    response = post_clip(api, headers={"Prefer": 'wait="1"'})
    assert 1 <= time.monotonic() - start < 5
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert response.headers["preference-applied"] == "wait=1"
    assert response.headers["location"] == response.json()["links"]["self"]
    for other in ("return=minimal", "wait=soon", "await=3"):
        answer = post_clip(api, headers={"Prefer": other})
        assert (answer.status_code, "preference-applied" in answer.headers) == (202, False)
