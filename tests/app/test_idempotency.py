"""Idempotency-Key: one job a key, whatever is sent twice, at once, or half."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from uuid_utils.compat import uuid7

from app.core.errors import IdempotencyInProgressError
from app.db.tables.idempotency import IdempotencyKey
from app.maintenance.sweeper import Sweeper
from app.services import idempotency
from app.services.keys import DEFAULT_TENANT
from tests.support.api import MP4, Sessions, problem

LOCK = timedelta(minutes=1)


def send(client: TestClient, key: str, content: bytes = MP4, **options: Any) -> Any:
    files: Any = {"file": ("a.mp4", content), "options": (None, json.dumps(options), "application/json")}
    return client.post("/v1/jobs", files=files, headers={"Idempotency-Key": key})


def test_the_same_request_answers_with_the_same_job(api: TestClient) -> None:
    first = send(api, "k1", external_id="post-1")
    again = send(api, "k1", external_id="post-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert send(api, "k2", external_id="post-1").json()["id"] != first.json()["id"]
    assert len(api.get("/v1/jobs").json()["items"]) == 2


def test_a_key_is_good_for_one_submission(api: TestClient) -> None:
    send(api, "k", external_id="post-1")
    problem(send(api, "k", external_id="post-2"), 422, "idempotency_mismatch")
    problem(send(api, "k", MP4 + b"x", external_id="post-1"), 422, "idempotency_mismatch")
    assert len(api.get("/v1/jobs").json()["items"]) == 1


def test_while_a_request_is_on_its_way_another_one_waits(api: TestClient, sessions: Sessions) -> None:
    with sessions() as session:
        claim = idempotency.claim_key(session, tenant=DEFAULT_TENANT, key="k", lock=LOCK)
    response = send(api, "k")
    problem(response, 409, "idempotency_in_progress")
    assert response.headers["retry-after"] == "1"
    with sessions() as session:
        idempotency.release_key(session, claim)
    assert send(api, "k").status_code == 202


def test_a_request_that_failed_leaves_its_key_free(api: TestClient) -> None:
    problem(send(api, "k", b"no video"), 415, "unsupported_media")
    assert send(api, "k").status_code == 202


def test_a_request_that_never_ended_is_overtaken(api: TestClient, sessions: Sessions) -> None:
    with sessions() as session:
        late = idempotency.claim_key(session, tenant=DEFAULT_TENANT, key="k", lock=timedelta(0))
    job = send(api, "k").json()
    with sessions() as session, session.begin(), pytest.raises(IdempotencyInProgressError):
        idempotency.bind_key(session, late, job_id=uuid7(), fingerprint="")
    assert send(api, "k").json()["id"] == job["id"]


def test_keys_of_tenants_do_not_meet(sessions: Sessions) -> None:
    for tenant in ("a", "b"):
        with sessions() as session:
            assert idempotency.claim_key(session, tenant=tenant, key="k", lock=LOCK).job_id is None


def test_old_keys_are_forgotten(api: TestClient, sessions: Sessions) -> None:
    first = send(api, "k").json()["id"]
    with sessions() as session, session.begin():
        session.execute(update(IdempotencyKey).values(created_at=IdempotencyKey.created_at - timedelta(days=2)))
    resources = api.app.state.resources  # type: ignore[attr-defined]
    Sweeper(sessions, resources.notifier, interval=LOCK, max_attempts=3).sweep()
    assert send(api, "k").json()["id"] != first


def test_a_thousand_submissions_make_one_job_for_each_key(api: TestClient) -> None:
    rng = random.Random(0)  # noqa: S311 (no secret)
    keys = [f"key-{rng.randrange(400)}" for _ in range(1000)]

    def submit(key: str) -> tuple[str, str]:
        while True:
            response = send(api, key, MP4 + key.encode(), external_id=key)
            if response.status_code == 202:
                return key, response.json()["id"]
            problem(response, 409, "idempotency_in_progress")

    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(submit, keys))
    assert len(made) == len({key for key, _ in made}) == len(set(keys))
    listed = api.get("/v1/jobs", params={"limit": 1000}).json()["items"]
    assert {(item["external_id"], item["id"]) for item in listed} == made
