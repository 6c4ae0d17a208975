"""Audit log: every operation of the OpenAPI that changes an object leaves a record."""

from typing import Any

from fastapi.testclient import TestClient

from tests.support.api import (
    FEW_CLIPS,
    MODEL_FILES,
    MP4,
    Sessions,
    create_calibration,
    finish,
    finish_clips,
    make_zip,
    read_audit_log,
    submit,
)

_BODIES: dict[str, dict[str, Any]] = {
    "/v1/batches": {"items": [{"source": {"url": "https://cdn.example/a.mp4"}}]},
    "/v1/keys": {"name": "pipeline", "scopes": ["jobs:read"]},
    "/v1/policies": {"name": "strict"},
    "/v1/uploads": {"bytes": len(MP4)},
    "/v1/webhook-endpoints": {"url": "https://webhooks.example/new"},
    "/v1/webhook-endpoints/{endpoint_id}": {"description": "changed"},
    "/v1/webhook-endpoints/{endpoint_id}:recover": {"since": "2026-01-01T00:00:00Z"},
    "/v1/webhook-endpoints/{endpoint_id}:rotate-secret": {},
    "/v1/jobs/{job_id}/feedback": {"label": "real"},
    "/v1/jobs/{job_id}:reanalyze": {"policy": "default"},
}
_CHANGES_NOTHING = {"/v1/policies/{policy_id}:simulate", "/v1/calibrations/{calibration_id}:simulate"}
"""Paths with POST only because the request has a body."""


def list_changing_operations(api: TestClient) -> list[tuple[str, str]]:
    """Return path and method of each operation that changes an object. Deletions are last: others need the objects."""
    paths = api.get("/openapi.json").json()["paths"]
    operations = [(path, method) for path, found in paths.items() for method in found if "security" in found[method]]
    changing = [found for found in operations if found[1] != "get" and found[0] not in _CHANGES_NOTHING]
    return sorted(changing, key=lambda operation: operation[1] == "delete")


def test_every_operation_that_changes_an_object_leaves_a_record(api: TestClient, sessions: Sessions) -> None:
    api.post("/v1/policies", json={"name": "default"})
    own = {"job_ids": [job["id"] for job in finish_clips(api, sessions, [0.1] * 4)], "rates": FEW_CLIPS}
    calibration = create_calibration(api, **own)
    requested = 0
    for path, method in list_changing_operations(api):
        endpoint = api.post("/v1/webhook-endpoints", json={"url": f"https://webhooks.example/{requested}"}).json()
        event = api.post(f"/v1/webhook-endpoints/{endpoint['id']}:test").json()
        begun = api.post("/v1/uploads", json={"bytes": len(MP4)}).json()
        job = submit(api)
        if not path.endswith(":cancel"):
            finish(sessions)
        ids = {"job_id": job["id"], "endpoint_id": endpoint["id"], "event_id": event["id"], "upload_id": begun["id"]}
        key = api.post("/v1/keys", json=_BODIES["/v1/keys"]).json()
        ids |= {"calibration_id": calibration["id"], "key_id": key["id"]}
        before = read_audit_log(api)[0]
        bodies = _BODIES | {"/v1/calibrations": own}
        content: dict[str, Any] = {"json": bodies[path]} if path in bodies else {}
        if path == "/v1/jobs":
            content = {"files": {"file": ("a.mp4", MP4)}}
        headers = {"X-Request-Id": "asked", "Upload-Length": "9"}
        if path == "/v1/models":
            content, headers["Content-Type"] = {"content": make_zip(MODEL_FILES)}, "application/zip"
        answer = api.request(method, path.format(**ids), headers=headers, **content)
        assert answer.is_success, (method, path, answer.text)
        record = read_audit_log(api)[0]
        assert record != before, (method, path)
        assert (record["actor"], record["request_id"]) == ("operator", "asked")
        made = answer.json()["id"] if answer.content and "id" in answer.json() else None
        assert record["target"] in {made, *ids.values()}, (method, path)
        api.post(f"{job['links']['self']}:cancel")
        requested += 1
    assert requested == 24
