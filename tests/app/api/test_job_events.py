"""Requests that wait for a job, and streams of its events."""

import json
import threading
import time

from fastapi.testclient import TestClient

from tests.support.api import Sessions, finish, problem, submit


def read_events(api: TestClient, job_id: str, **headers: str) -> list[dict[str, str]]:
    """Return the events of a stream that ends."""
    with api.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        blocks = "".join(response.iter_text()).strip().split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")) for block in blocks]
    return [event for event in events if event]


def test_wait_ends_with_the_job(api: TestClient, sessions: Sessions) -> None:
    url = submit(api)["links"]["self"]
    threading.Timer(0.4, finish, [sessions]).start()
    start = time.monotonic()
    assert api.get(url, params={"wait": 20}).json()["status"] == "succeeded"
    assert 0.3 < time.monotonic() - start < 1.3


def test_wait_ends_after_its_time(api: TestClient) -> None:
    url = submit(api)["links"]["self"]
    assert api.get(url, params={"wait": 0.2}).json()["status"] == "queued"
    problem(api.get(url, params={"wait": -1}), 400, "invalid_request")


def test_stream_has_all_transitions_and_ends_with_the_job(api: TestClient, sessions: Sessions) -> None:
    job_id = submit(api)["id"]
    threading.Timer(0.5, finish, [sessions]).start()
    events = read_events(api, job_id)
    transitions = [event for event in events if event["event"] != "job.progress"]
    assert [event["event"] for event in transitions] == ["job.queued", "job.started", "job.succeeded"]
    ids = [int(event["id"]) for event in transitions]
    assert ids == sorted(ids)
    last = json.loads(transitions[-1]["data"])
    assert (last["job_id"], last["status"], last["attempt"]) == (job_id, "succeeded", 1)
    job = api.get(f"/v1/jobs/{job_id}").json()
    assert (last["verdict"], last["probability"]) == (job["verdict"], job["result"]["probability"])
    assert json.loads(transitions[0]["data"])["verdict"] is None
    continued = read_events(api, job_id, **{"Last-Event-ID": transitions[0]["id"]})
    assert [event["event"] for event in continued] == ["job.started", "job.succeeded"]


def test_stream_of_unknown_or_deleted_job_is_refused(api: TestClient) -> None:
    problem(api.get(f"/v1/jobs/job_{0:032}/events"), 404, "not_found")
    job = submit(api)
    problem(api.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": "x"}), 400, "invalid_request")
    api.delete(job["links"]["self"])
    problem(api.get(f"/v1/jobs/{job['id']}/events"), 410, "gone_deleted")
