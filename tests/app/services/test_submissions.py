"""Submissions of clips that the service has, or fetches from a URL."""

from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from app.db.tables.jobs import Job
from tests.support.api import ENDPOINTS, SHA256, Sessions, finish, post_clip, problem, submit, submit_source
from tests.support.receiver import Deliver, Receiver

URL = "https://cdn.example.com/a.mp4"


def test_known_clip_needs_no_upload(api: TestClient) -> None:
    first = submit(api)
    response = submit_source(api, {"sha256": SHA256}, external_id="again")
    second = response.json()
    assert (response.status_code, second["external_id"]) == (202, "again")
    assert second["clip"] == first["clip"] | {"url": None}
    assert second["id"] != first["id"]


def test_unknown_foreign_or_deleted_clip_is_not_found(api: TestClient, sessions: Sessions) -> None:
    problem(submit_source(api, {"sha256": SHA256}), 404, "not_found")
    job = submit(api)
    with sessions() as session, session.begin():
        session.get_one(Job, UUID(job["id"][4:])).tenant = "other"
    problem(submit_source(api, {"sha256": SHA256}), 404, "not_found")
    api.delete(submit(api)["links"]["self"])
    problem(submit_source(api, {"sha256": SHA256}), 404, "not_found")


def test_url_is_queued_without_a_clip(api: TestClient) -> None:
    job = submit_source(api, {"url": URL}, external_id="far").json()
    assert job["clip"] == {"name": None, "url": URL, "sha256": None, "bytes": None, "deleted_at": None}
    assert job["status"] == "queued"
    again = api.delete(job["links"]["self"])
    assert again.status_code == 204


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "file:///etc/passwd", "ftp://a.example/", "https://u:p@a.example/"]
)
def test_url_of_private_host_or_other_scheme_is_refused(api: TestClient, url: str) -> None:
    body = problem(submit_source(api, {"url": url}), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/source/url"


def test_unknown_policy_is_refused(api: TestClient) -> None:
    body = problem(post_clip(api, policy="none-such"), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/options/policy"
    assert api.get("/v1/jobs").json()["items"] == []


def test_webhook_url_of_a_job_creates_one_named_endpoint(
    webhook_api: TestClient, webhook: Receiver, deliver: Deliver, sessions: Sessions
) -> None:
    api = webhook_api
    named = submit(api, webhook_url=webhook.url)
    submit(api, webhook_url=webhook.url)
    submit(api)
    (endpoint,) = api.get(ENDPOINTS).json()["items"]
    assert (endpoint["jobs"], endpoint["url"]) == ("named", webhook.url)
    secret = api.get(f"{ENDPOINTS}/{endpoint['id']}/secret").json()["secret"]
    finish(sessions)
    deliver()
    queued = [event["data"]["id"] for event in webhook.verified(secret) if event["type"] == "job.queued"]
    assert len(queued) == 2
    assert [event["data"]["id"] for event in webhook.verified(secret) if event["type"] == "job.succeeded"] == [
        named["id"]
    ]
