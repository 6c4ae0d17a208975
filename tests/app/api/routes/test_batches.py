"""Routes of batches: all items are accepted, or none."""

from fastapi.testclient import TestClient

from tests.support.api import SHA256, problem, submit, submit_source

URL = "https://cdn.example.com/a.mp4"


def test_batch_creates_one_job_per_item(api: TestClient) -> None:
    submit(api)
    items = [{"source": {"sha256": SHA256}}, {"source": {"url": URL}, "options": {"priority": "live"}}]
    key = {"Idempotency-Key": "b"}
    response = api.post("/v1/batches", json={"items": items}, headers=key)
    batch = response.json()
    assert (response.status_code, batch["status"], batch["counts"]) == (202, "running", {"queued": 2})
    assert api.post("/v1/batches", json={"items": items}, headers=key).json()["id"] == batch["id"]
    problem(submit_source(api, {"sha256": SHA256}, key), 422, "idempotency_mismatch")
    listed = api.get("/v1/jobs", params={"batch_id": batch["id"]}).json()["items"]
    assert [(job["batch_id"], job["priority"]) for job in listed] == [(batch["id"], "live"), (batch["id"], "batch")]
    assert api.get("/v1/jobs", params={"batch_id": "batch_x"}).json()["items"] == []


def test_invalid_item_refuses_the_batch_and_is_named(api: TestClient) -> None:
    submit(api)
    good, unknown = {"source": {"sha256": SHA256}}, {"source": {"sha256": "0" * 64}}
    body = problem(api.post("/v1/batches", json={"items": [good, unknown]}), 404, "not_found")
    assert body["errors"][0]["pointer"] == "/items/1"
    inside = {"source": {"url": "https://10.0.0.1/"}}
    body = problem(api.post("/v1/batches", json={"items": [good, inside]}), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/items/1/source/url"
    problem(api.post("/v1/batches", json={"items": [good] * 101}), 400, "invalid_request")
    assert len(api.get("/v1/jobs").json()["items"]) == 1
