"""Routes of jobs: submitted, listed, read, canceled, deleted. No worker runs: tests end jobs themselves."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sqlalchemy import select

from app.core.settings import Settings
from app.db.tables.webhooks import WebhookEvent
from app.infra.clip_storage import ClipStorage
from app.services import attempts
from tests.support.api import (
    MP4,
    Sessions,
    begin_upload,
    finish,
    make_client,
    post_clip,
    problem,
    read_body,
    register_endpoint,
    submit,
)
from tests.support.factories import make_attempt_result
from tests.support.jobs import claim_job


def test_submitted_clip_becomes_a_queued_job(api: TestClient) -> None:
    first = submit(api, external_id="post-1", metadata={"queue": "ugc"})
    second = submit(api)
    assert (first["status"], first["external_id"], first["metadata"]) == ("queued", "post-1", {"queue": "ugc"})
    assert (first["clip"]["name"], first["clip"]["bytes"]) == ("a.mp4", len(MP4))
    assert (first["queue_position"], second["queue_position"]) == (0, 1)


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
def test_invalid_query_parameter_is_named(api: TestClient, query: str, pointer: str) -> None:
    body = problem(api.get(f"/v1/jobs?{query}"), 400, "invalid_request")
    assert [field["pointer"] for field in body["errors"]] == [pointer]


def test_unchanged_job_is_answered_with_304(api: TestClient, sessions: Sessions) -> None:
    url = submit(api)["links"]["self"]
    etag = api.get(url).headers["etag"]
    unchanged = api.get(url, headers={"If-None-Match": f'"other", {etag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    finish(sessions)
    changed = api.get(url, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.json()["status"]) == (200, "succeeded")
    assert "retry-after" not in changed.headers


def test_unfinished_job_has_no_result(api: TestClient, sessions: Sessions) -> None:
    job = submit(api)
    waiting = api.get(job["links"]["result"])
    problem(waiting, 409, "no_result")
    assert waiting.headers["retry-after"] == "1"
    problem(api.get(job["links"]["frames"]), 409, "no_result")
    finish(sessions)
    assert api.get(job["links"]["result"]).json() == api.get(job["links"]["self"]).json()["result"]


def test_canceled_job_is_not_cancelable_again(api: TestClient) -> None:
    job = submit(api)
    url = f"{job['links']['self']}:cancel"
    assert api.post(url).json()["status"] == "canceled"
    problem(api.post(url), 409, "not_cancelable")
    problem(api.get(job["links"]["result"]), 409, "no_result")


def test_deleted_job_is_gone_with_its_clip(api: TestClient, sessions: Sessions, storage: ClipStorage) -> None:
    job = submit(api, external_id="private")
    finish(sessions, frames=2)
    assert api.delete(job["links"]["self"]).status_code == 204
    for method, path in [("GET", ""), ("GET", "/result"), ("GET", "/frames"), ("POST", ":cancel"), ("DELETE", "")]:
        problem(api.request(method, job["links"]["self"] + path), 410, "gone_deleted")
    assert api.get("/v1/jobs").json()["items"] == []
    with pytest.raises(FileNotFoundError):
        storage.open_clip(job["clip"]["sha256"])


def test_feedback_is_added_to_earlier_feedback(api: TestClient) -> None:
    job = submit(api)
    path = f"/v1/jobs/{job['id']}/feedback"
    first = api.post(path, json={"label": "fake", "category": "face swap"})
    assert first.status_code == 201
    api.post(path, json={"label": "real", "note": "The witness was right."})
    rows = api.get(path).json()["items"]
    assert [(row["label"], row["category"], row["note"]) for row in rows] == [
        ("fake", "face swap", None),
        ("real", None, "The witness was right."),
    ]
    assert rows[0] == first.json()
    problem(api.post(path, json={"label": "perhaps"}), 400, "invalid_request")
    api.delete(job["links"]["self"])
    problem(api.get(path), 410, "gone_deleted")


def test_links_begin_with_the_public_url(settings: Settings, sessions: Sessions) -> None:
    assert sessions
    public = "https://unmask.example/api"
    with make_client(settings.model_copy(update={"public_url": public})) as api:
        endpoint = register_endpoint(api, "https://webhooks.example/", events=["job.queued"])
        answer = post_clip(api)
        job = answer.json()
        assert job["links"]["frames"] == f"{public}/v1/jobs/{job['id']}/frames"
        assert answer.headers["location"] == job["links"]["self"] == f"{public}/v1/jobs/{job['id']}"
        (listed,) = api.get("/v1/jobs").json()["items"]
        assert listed["links"] == job["links"]
        assert begin_upload(api)["upload_url"].startswith(f"{public}/v1/direct-uploads/")
    with sessions() as session:
        (event,) = session.scalars(select(WebhookEvent)).all()
    assert endpoint["id"]
    assert read_body(event)["data"]["links"]["self"] == job["links"]["self"]


@pytest.mark.parametrize("url", ["unmask.example", "https://unmask.example/", "ftp://x", "https://unmask.example?a=b"])
def test_public_url_that_gives_no_links_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="public_url"):
        Settings(public_url=url, _env_file=None)


def test_part_of_a_clip_is_stored_and_has_a_result_of_its_own(api: TestClient, sessions: Sessions) -> None:
    part = submit(api, start_seconds=2.5, end_seconds=10)
    assert (part["start_seconds"], part["end_seconds"]) == (2.5, 10.0)
    attempt = claim_job(sessions)
    assert (attempt.start_seconds, attempt.end_seconds) == (2.5, 10.0)
    with sessions() as session:
        attempts.succeed(session, attempt, make_attempt_result())
    same: dict[str, Any] = {"start_seconds": 2.5, "end_seconds": 10}
    for options, is_reused in (({}, False), ({"start_seconds": 2.5}, False), (same, True)):
        submit(api, **options)
        attempt = claim_job(sessions)
        with sessions() as session:
            assert attempts.reuse_result(session, attempt, detector_sha256="0" * 64) is is_reused
    (error,) = problem(post_clip(api, start_seconds=5, end_seconds=5), 400, "invalid_request")["errors"]
    assert error["pointer"] == "/options"
    again = api.post(f"{part['links']['self']}:reanalyze").json()
    assert (again["start_seconds"], again["end_seconds"]) == (2.5, 10.0)
