"""Clips that do not come with the request: known bytes, URLs; and many of them in a batch."""

from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.core.enums import EventType
from app.db.tables.jobs import Job
from app.db.tables.webhooks import WebhookEvent
from app.infra.clip_storage import ClipStorage
from app.services import batches
from tests.support.api import SHA256, Sessions, finish, problem, submit, submit_source

URL = "https://cdn.example.com/a.mp4"


def test_bytes_that_a_job_holds_need_no_upload(api: TestClient) -> None:
    first = submit(api)
    response = submit_source(api, {"sha256": SHA256}, external_id="again")
    second = response.json()
    assert (response.status_code, second["external_id"]) == (202, "again")
    assert second["clip"] == first["clip"] | {"url": None}
    assert second["id"] != first["id"]


def test_bytes_of_nobody_or_of_the_past_are_not_found(api: TestClient, sessions: Sessions) -> None:
    problem(submit_source(api, {"sha256": SHA256}), 404, "not_found")
    job = submit(api)
    with sessions() as session, session.begin():
        session.get_one(Job, UUID(job["id"][4:])).tenant = "other"
    problem(submit_source(api, {"sha256": SHA256}), 404, "not_found")
    api.delete(submit(api)["links"]["self"])
    problem(submit_source(api, {"sha256": SHA256}), 404, "not_found")


def test_a_clip_stays_as_long_as_a_job_that_named_its_bytes(api: TestClient, clips: ClipStorage) -> None:
    first = submit(api)
    submit_source(api, {"sha256": SHA256})
    api.delete(first["links"]["self"])
    clips.open_clip(SHA256).close()


def test_a_url_is_fetched_later(api: TestClient) -> None:
    job = submit_source(api, {"url": URL}, external_id="far").json()
    assert job["clip"] == {"name": None, "url": URL, "sha256": None, "bytes": None, "deleted_at": None}
    assert job["status"] == "queued"
    again = api.delete(job["links"]["self"])
    assert again.status_code == 204


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "file:///etc/passwd", "ftp://a.example/", "https://u:p@a.example/"]
)
def test_a_url_that_leads_inside_is_refused(api: TestClient, url: str) -> None:
    body = problem(submit_source(api, {"url": url}), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/source/url"


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
def test_a_bad_body_is_pointed_at(api: TestClient, body: dict[str, Any], pointer: str) -> None:
    found = problem(api.post("/v1/jobs", json=body), 400, "invalid_request")
    assert [field["pointer"] for field in found["errors"]] == [pointer]


def test_a_body_that_is_too_large_is_not_read(api: TestClient) -> None:
    problem(api.post("/v1/jobs", json={"source": {"url": URL + "a" * 70_000}}), 400, "invalid_request")


def test_a_named_source_is_idempotent_too(api: TestClient) -> None:
    submit(api)
    key = {"Idempotency-Key": "k"}
    first = submit_source(api, {"sha256": SHA256}, key).json()
    assert submit_source(api, {"sha256": SHA256}, key).json()["id"] == first["id"]
    problem(submit_source(api, {"url": URL}, key), 422, "idempotency_mismatch")


def test_a_batch_is_taken_as_a_whole(api: TestClient) -> None:
    submit(api)
    items = [{"source": {"sha256": SHA256}}, {"source": {"url": URL}, "options": {"priority": "live"}}]
    key = {"Idempotency-Key": "b"}
    response = api.post("/v1/batches", json={"items": items}, headers=key)
    batch = response.json()
    assert (response.status_code, batch["status"], batch["jobs"]) == (202, "running", {"queued": 2})
    assert api.post("/v1/batches", json={"items": items}, headers=key).json()["id"] == batch["id"]
    problem(submit_source(api, {"sha256": SHA256}, key), 422, "idempotency_mismatch")
    listed = api.get("/v1/jobs", params={"batch_id": batch["id"]}).json()["items"]
    assert [(job["batch_id"], job["priority"]) for job in listed] == [(batch["id"], "live"), (batch["id"], "batch")]
    assert api.get("/v1/jobs", params={"batch_id": "batch_x"}).json()["items"] == []


def test_one_bad_item_spoils_the_batch_and_is_pointed_at(api: TestClient) -> None:
    submit(api)
    good, unknown = {"source": {"sha256": SHA256}}, {"source": {"sha256": "0" * 64}}
    body = problem(api.post("/v1/batches", json={"items": [good, unknown]}), 404, "not_found")
    assert body["errors"][0]["pointer"] == "/items/1"
    inside = {"source": {"url": "https://10.0.0.1/"}}
    body = problem(api.post("/v1/batches", json={"items": [good, inside]}), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/items/1/source/url"
    problem(api.post("/v1/batches", json={"items": [good] * 101}), 400, "invalid_request")
    assert len(api.get("/v1/jobs").json()["items"]) == 1


def test_a_batch_tells_once_that_it_is_complete(api: TestClient, sessions: Sessions) -> None:
    api.post("/v1/webhook-endpoints", json={"url": "https://webhooks.example/", "events": ["batch.completed"]})
    finish_first = submit(api)
    finish(sessions)
    batch = api.post("/v1/batches", json={"items": [{"source": {"sha256": SHA256}}] * 2}).json()
    path = f"/v1/batches/{batch['id']}"

    def complete() -> int:
        with sessions() as session:
            return len(batches.complete_batches(session))

    finish(sessions)
    assert complete() == 0
    (left,) = api.get("/v1/jobs", params={"batch_id": batch["id"], "status": "queued"}).json()["items"]
    api.post(f"{left['links']['self']}:cancel")
    assert api.get(path).json()["status"] == "partially_failed"
    assert (complete(), complete()) == (1, 0)
    assert api.get(path).json()["completed_at"] is not None
    with sessions() as session:
        (event,) = session.scalars(select(WebhookEvent)).all()
    assert (event.type, event.job_id) == (EventType.BATCH_COMPLETED, None)
    assert event.data is not None
    assert (event.data["id"], event.data["jobs"]) == (batch["id"], {"succeeded": 1, "canceled": 1})
    assert finish_first["batch_id"] is None
