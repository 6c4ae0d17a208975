"""The audit log: each operation that changes something leaves a line, in the transaction of the change."""

from datetime import timedelta
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import update

from app.core.settings import Settings
from app.db.tables.audit import AuditEvent
from app.db.tables.jobs import Job
from app.infra.clip_storage import ClipStorage
from app.maintenance.retention import Retention
from tests.support.api import MP4, Sessions, finish, problem, submit

_JSON: dict[str, dict[str, Any]] = {
    "/v1/batches": {"items": [{"source": {"url": "https://cdn.example/a.mp4"}}]},
    "/v1/policies": {"name": "strict"},
    "/v1/uploads": {"bytes": len(MP4)},
    "/v1/webhook-endpoints": {"url": "https://webhooks.example/new"},
    "/v1/webhook-endpoints/{endpoint_id}": {"description": "changed"},
    "/v1/webhook-endpoints/{endpoint_id}:recover": {"since": "2026-01-01T00:00:00Z"},
    "/v1/webhook-endpoints/{endpoint_id}:rotate-secret": {},
    "/v1/jobs/{job_id}/feedback": {"label": "real"},
    "/v1/jobs/{job_id}:reanalyze": {"policy": "default"},
}
_CHANGES_NOTHING = {"/v1/policies/{policy_id}:simulate"}
"""Posts, because it has a body."""


def read_log(api: TestClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.get("/v1/audit-events", params={"limit": 1000}).json()["items"]
    return items


def test_every_operation_that_changes_something_leaves_a_line(api: TestClient, sessions: Sessions) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    api.post("/v1/policies", json={"name": "default"})
    # Deletions come last: they take away what the others need.
    operations = [(path, method) for path, found in paths.items() for method in found if "security" in found[method]]
    operations = [operation for operation in operations if operation[1] != "get"]
    operations.sort(key=lambda operation: operation[1] == "delete")
    asked = 0
    for path, method in operations:
        if path in _CHANGES_NOTHING:
            continue
        endpoint = api.post("/v1/webhook-endpoints", json={"url": f"https://webhooks.example/{asked}"}).json()
        event = api.post(f"/v1/webhook-endpoints/{endpoint['id']}:test").json()
        begun = api.post("/v1/uploads", json={"bytes": len(MP4)}).json()
        job = submit(api)
        if not path.endswith(":cancel"):
            finish(sessions)
        ids = {"job_id": job["id"], "endpoint_id": endpoint["id"], "event_id": event["id"], "upload_id": begun["id"]}
        before = read_log(api)[0]
        sent: dict[str, Any] = {"json": _JSON[path]} if path in _JSON else {}
        if path == "/v1/jobs":
            sent = {"files": {"file": ("a.mp4", MP4)}}
        answer = api.request(method, path.format(**ids), headers={"X-Request-Id": "asked"}, **sent)
        assert answer.is_success, (method, path, answer.text)
        line = read_log(api)[0]
        assert line != before, (method, path)
        assert (line["actor"], line["request_id"]) == ("operator", "asked")
        made = answer.json()["id"] if answer.content and "id" in answer.json() else None
        assert line["target"] in {made, *ids.values()}, (method, path)
        api.post(f"{job['links']['self']}:cancel")
        asked += 1
    assert asked == 17


def test_what_is_refused_leaves_no_line(api: TestClient) -> None:
    submit(api)
    before = read_log(api)
    problem(api.delete(f"/v1/jobs/job_{0:032}"), 404, "not_found")
    problem(api.post("/v1/policies", json={"name": "x", "suspicious_false_positive_rate": 0.1}), 400, "invalid_request")
    assert read_log(api) == before


def test_what_the_service_does_by_itself_is_noted_too(
    api: TestClient, sessions: Sessions, settings: Settings, clips: ClipStorage
) -> None:
    job = submit(api)
    finish(sessions)
    with sessions() as session, session.begin():
        session.execute(update(Job).values(finished_at=Job.finished_at - timedelta(days=8)))
    keep = Retention(clips, settings)
    with sessions() as session:
        keep(session)
    line = read_log(api)[0]
    assert (line["actor"], line["action"], line["target"]) == ("service", "clip.deleted", job["id"])


def test_old_lines_go_and_pages_hold_the_rest(
    api: TestClient, sessions: Sessions, settings: Settings, clips: ClipStorage
) -> None:
    jobs = [submit(api) for _ in range(3)]
    with sessions() as session, session.begin():
        old = update(AuditEvent).where(AuditEvent.target == jobs[0]["id"])
        session.execute(old.values(at=AuditEvent.at - timedelta(days=366)))
    keep = Retention(clips, settings)
    with sessions() as session:
        keep(session)
    first = api.get("/v1/audit-events", params={"limit": 1}).json()
    second = api.get("/v1/audit-events", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [first["items"][0]["target"], second["items"][0]["target"]] == [jobs[2]["id"], jobs[1]["id"]]
    assert second["next_cursor"] is None
