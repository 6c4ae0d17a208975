"""Routes of operations: workers and the queue."""

import pytest
from fastapi.testclient import TestClient

from app.core.enums import Scope
from app.services.workers import report_workers
from tests.support.api import MakeKey, Sessions, finish_clips, problem, submit
from tests.support.jobs import claim_job


def test_live_workers_are_listed_with_their_jobs(
    api: TestClient, keyless_api: TestClient, make_key: MakeKey, sessions: Sessions
) -> None:
    job = submit(api)
    attempt = claim_job(sessions)
    with sessions() as session:
        report_workers(session, [attempt.worker, "idle:1:x", "ended:2:x"], [], model="m 1")
        report_workers(session, [attempt.worker], ["ended:2:x"], model="m 1")
    found = {worker["name"]: worker for worker in api.get("/v1/workers").json()["items"]}
    assert set(found) == {attempt.worker, "idle:1:x"}
    busy, idle = found[attempt.worker], found["idle:1:x"]
    assert (busy["busy"], busy["job_id"], busy["model"]) == (True, job["id"], "m 1")
    assert (idle["busy"], idle["job_id"]) == (False, None)
    other = make_key(Scope.ADMIN, tenant="other")
    seen = {worker["name"]: worker for worker in keyless_api.get("/v1/workers", headers=other).json()["items"]}
    assert (seen[attempt.worker]["busy"], seen[attempt.worker]["job_id"]) == (True, None)
    problem(keyless_api.get("/v1/workers", headers=make_key(Scope.JOBS_READ)), 403, "forbidden_scope")


def test_queue_has_counts_age_and_time_left(api: TestClient, sessions: Sessions) -> None:
    empty = {"queued": {"live": 0, "batch": 0}, "running": 0, "workers": 0}
    assert api.get("/v1/queue").json() == empty | {"oldest_seconds": None, "job_seconds": None, "eta_seconds": None}
    finish_clips(api, sessions, [0.1, 0.2])
    for number in range(3):
        submit(api, priority="batch" if number else "live")
    with sessions() as session:
        report_workers(session, ["a:1:x", "b:1:x"], [], model="m 1")
    queue = api.get("/v1/queue").json()
    assert (queue["queued"], queue["workers"]) == ({"live": 1, "batch": 2}, 2)
    assert queue["oldest_seconds"] > 0
    assert queue["eta_seconds"] == pytest.approx(3 * queue["job_seconds"] / 2)
