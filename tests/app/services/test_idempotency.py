"""Idempotency-Key: one job per key, for requests that are repeated, concurrent or interrupted."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from uuid_utils.compat import uuid7

from app.core.errors import IdempotencyInProgressError
from app.services import idempotency
from app.services.keys import DEFAULT_TENANT
from tests.support.api import MP4, SHA256, Response, Sessions, post_clip, problem, submit, submit_source

LOCK = timedelta(minutes=1)


def post_with_key(api: TestClient, key: str, content: bytes = MP4, **options: Any) -> Response:
    return post_clip(api, content, headers={"Idempotency-Key": key}, **options)


def test_repeated_request_returns_the_same_job(api: TestClient) -> None:
    first = post_with_key(api, "k1", external_id="post-1")
    again = post_with_key(api, "k1", external_id="post-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert post_with_key(api, "k2", external_id="post-1").json()["id"] != first.json()["id"]
    assert len(api.get("/v1/jobs").json()["items"]) == 2


def test_repeated_source_returns_the_same_job(api: TestClient) -> None:
    submit(api)
    key = {"Idempotency-Key": "k"}
    first = submit_source(api, {"sha256": SHA256}, key).json()
    assert submit_source(api, {"sha256": SHA256}, key).json()["id"] == first["id"]
    problem(submit_source(api, {"url": "https://cdn.example.com/a.mp4"}, key), 422, "idempotency_mismatch")


def test_key_of_another_submission_is_refused(api: TestClient) -> None:
    post_with_key(api, "k", external_id="post-1")
    problem(post_with_key(api, "k", external_id="post-2"), 422, "idempotency_mismatch")
    problem(post_with_key(api, "k", MP4 + b"x", external_id="post-1"), 422, "idempotency_mismatch")
    assert len(api.get("/v1/jobs").json()["items"]) == 1


def test_key_of_request_in_progress_is_refused(api: TestClient, sessions: Sessions) -> None:
    with sessions() as session:
        claim = idempotency.claim_key(session, tenant=DEFAULT_TENANT, key="k", lock=LOCK)
    response = post_with_key(api, "k")
    problem(response, 409, "idempotency_in_progress")
    assert response.headers["retry-after"] == "1"
    with sessions() as session:
        idempotency.release_key(session, claim)
    assert post_with_key(api, "k").status_code == 202


def test_failed_request_releases_its_key(api: TestClient) -> None:
    problem(post_with_key(api, "k", b"no video"), 415, "unsupported_media")
    assert post_with_key(api, "k").status_code == 202


def test_expired_claim_is_taken_by_the_next_request(api: TestClient, sessions: Sessions) -> None:
    with sessions() as session:
        late = idempotency.claim_key(session, tenant=DEFAULT_TENANT, key="k", lock=timedelta(0))
    job = post_with_key(api, "k").json()
    with sessions() as session, session.begin(), pytest.raises(IdempotencyInProgressError):
        idempotency.bind_key(session, late, job_id=uuid7(), fingerprint="")
    assert post_with_key(api, "k").json()["id"] == job["id"]


def test_tenants_have_separate_keys(sessions: Sessions) -> None:
    for tenant in ("a", "b"):
        with sessions() as session:
            assert idempotency.claim_key(session, tenant=tenant, key="k", lock=LOCK).job_id is None


def test_hundreds_of_concurrent_submissions_create_one_job_per_key(api: TestClient) -> None:
    rng = random.Random(0)  # noqa: S311 (no secret)
    keys = [f"key-{rng.randrange(120)}" for _ in range(300)]

    def submit_until_accepted(key: str) -> tuple[str, str]:
        while True:
            response = post_with_key(api, key, MP4 + key.encode(), external_id=key)
            if response.status_code == 202:
                return key, response.json()["id"]
            problem(response, 409, "idempotency_in_progress")

    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(submit_until_accepted, keys))
    assert len(made) == len({key for key, _ in made}) == len(set(keys))
    listed = api.get("/v1/jobs", params={"limit": 1000}).json()["items"]
    assert {(item["external_id"], item["id"]) for item in listed} == made


def test_same_key_with_metadata_in_another_order_returns_the_first_job(api: TestClient) -> None:
    first = post_with_key(api, "k", metadata={"a": "1", "b": "2"})
    second = post_with_key(api, "k", metadata={"b": "2", "a": "1"})
    assert (first.status_code, second.json()["id"]) == (202, first.json()["id"])
    for metadata in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}):
        source = {"source": {"sha256": first.json()["clip"]["sha256"]}, "options": {"metadata": metadata}}
        named = api.post("/v1/jobs", json=source, headers={"Idempotency-Key": "source"})
        batch = api.post("/v1/batches", json={"items": [source]}, headers={"Idempotency-Key": "batch"})
        assert named.status_code in {200, 202}
        assert batch.status_code in {200, 201, 202}
