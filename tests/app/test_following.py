"""Ways to learn of a job's end without polling, to order its turn, and to say what its clip really is."""

import json
import threading
import time
from datetime import datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient

from tests.support.api import MP4, Sessions, finish, problem, submit


def send(api: TestClient, prefer: str) -> Any:
    return api.post("/v1/jobs", files={"file": ("a.mp4", MP4)}, headers={"Prefer": prefer})


def read_events(api: TestClient, job_id: str, **headers: str) -> list[dict[str, str]]:
    """The events of a stream that ends."""
    with api.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        blocks = "".join(response.iter_text()).strip().split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")) for block in blocks]
    return [event for event in events if event]


def test_prefer_wait_answers_with_the_finished_job(api: TestClient, sessions: Sessions) -> None:
    threading.Timer(0.5, finish, [sessions]).start()
    response = send(api, "respond-async, wait=20")
    assert (response.status_code, response.json()["status"]) == (200, "succeeded")
    assert response.headers["preference-applied"] == "wait=20"


def test_prefer_wait_answers_with_the_queued_job_when_time_is_over(api: TestClient) -> None:
    start = time.monotonic()
    response = send(api, 'wait="1"')
    assert 1 <= time.monotonic() - start < 5
    assert (response.status_code, response.json()["status"]) == (202, "queued")
    assert response.headers["preference-applied"] == "wait=1"
    assert response.headers["location"] == response.json()["links"]["self"]
    for other in ("return=minimal", "wait=soon", "await=3"):
        answer = send(api, other)
        assert (answer.status_code, "preference-applied" in answer.headers) == (202, False)


def test_a_stream_tells_a_jobs_story_and_ends_with_it(api: TestClient, sessions: Sessions) -> None:
    job_id = submit(api)["id"]
    threading.Timer(0.5, finish, [sessions]).start()
    events = read_events(api, job_id)
    moves = [event for event in events if event["event"] != "job.progress"]
    assert [event["event"] for event in moves] == ["job.queued", "job.started", "job.succeeded"]
    ids = [int(event["id"]) for event in moves]
    assert ids == sorted(ids)
    last = json.loads(moves[-1]["data"])
    assert (last["job_id"], last["status"], last["attempt"]) == (job_id, "succeeded", 1)
    continued = read_events(api, job_id, **{"Last-Event-ID": moves[0]["id"]})
    assert [event["event"] for event in continued] == ["job.started", "job.succeeded"]


def test_a_stream_of_nothing_is_an_error(api: TestClient) -> None:
    problem(api.get(f"/v1/jobs/job_{0:032}/events"), 404, "not_found")
    job = submit(api)
    problem(api.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": "x"}), 400, "invalid_request")
    api.delete(job["links"]["self"])
    problem(api.get(f"/v1/jobs/{job['id']}/events"), 410, "gone_deleted")


def test_lanes_and_deadlines_are_set_when_a_clip_is_submitted(api: TestClient) -> None:
    batch, live = submit(api, priority="batch", start_within_seconds=3600), submit(api)
    assert (batch["priority"], live["priority"]) == ("batch", "live")
    assert api.get(f"/v1/jobs/{live['id']}").json()["queue_position"] == 0
    assert api.get(f"/v1/jobs/{batch['id']}").json()["queue_position"] == 1
    left = datetime.fromisoformat(batch["start_before"]) - datetime.fromisoformat(batch["created_at"])
    assert abs(left - timedelta(hours=1)) < timedelta(seconds=5)
    assert live["start_before"] is None


def test_feedback_is_kept_and_never_overwritten(api: TestClient) -> None:
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
