"""Isolation of tenants: an object of another tenant is not found, in every operation of the OpenAPI."""

from fastapi.testclient import TestClient
from uuid_utils.compat import uuid7

from app.core.enums import Scope
from app.services import models
from tests.support.api import FEW_CLIPS, MakeKey, Sessions, finish, finish_clips, problem, submit

_BODIES = {
    "/feedback": {"label": "fake"},
    ":reanalyze": {"policy": "default"},
    ":simulate": {},
    ":recover": {"since": "2026-01-01T00:00:00Z"},
    ":rotate-secret": {},
    "patch": {"description": "taken"},
}
"""Bodies by the end of the path, or by the method."""


def add_import_of(sessions: Sessions, tenant: str) -> dict[str, str]:
    """Add the import of a model of a tenant, which only 'default' can send over the API."""
    with sessions() as session:
        return {"id": models.add_import(session, tenant=tenant, import_id=uuid7()).public_id}


def test_object_of_other_tenant_is_not_found_in_every_operation(
    keyless_api: TestClient, make_key: MakeKey, sessions: Sessions
) -> None:
    api = keyless_api
    ours, theirs = make_key(Scope.ADMIN, tenant="ours"), make_key(Scope.ADMIN, tenant="theirs")
    endpoint = api.post("/v1/webhook-endpoints", json={"url": "https://webhooks.example/"}, headers=ours).json()
    job = submit(api, headers=ours)
    finish(sessions, frames=3)
    clips = finish_clips(api, sessions, [0.1] * 4, headers=ours)
    known_clip = {"sha256": job["clip"]["sha256"]}
    made = {
        "job_id": job,
        "endpoint_id": endpoint,
        "event_id": api.post(f"/v1/webhook-endpoints/{endpoint['id']}:test", headers=ours).json(),
        "calibration_id": api.post(
            "/v1/calibrations", json={"job_ids": [clip["id"] for clip in clips], "rates": FEW_CLIPS}, headers=ours
        ).json(),
        "policy_id": api.post("/v1/policies", json={"name": "default"}, headers=ours).json(),
        "key_id": api.post("/v1/keys", json={"name": "ours", "scopes": ["jobs:read"]}, headers=ours).json(),
        "import_id": add_import_of(sessions, "ours"),
        "upload_id": api.post("/v1/uploads", json={"bytes": 100}, headers=ours).json(),
        "batch_id": api.post("/v1/batches", json={"items": [{"source": known_clip}]}, headers=ours).json(),
    }
    ids = {parameter: found["id"] for parameter, found in made.items()}
    unknown = {parameter: f"{found.partition('_')[0]}_{0:032}" for parameter, found in ids.items()}
    requested = 0
    for path, operations in api.get("/openapi.json").json()["paths"].items():
        for method in operations:
            if "{" not in path or "security" not in operations[method]:
                continue
            body = next((body for end, body in _BODIES.items() if path.endswith(end) or method == end), None)
            answers = [
                api.request(method, path.format(**chosen), headers=theirs, json=body) for chosen in (ids, unknown)
            ]
            of_other_tenant, of_none = (problem(answer, 404, "not_found") for answer in answers)
            assert of_other_tenant["detail"] == of_none["detail"]
            requested += 1
    assert requested == 29
    for listing in ("/v1/jobs", "/v1/webhook-endpoints", "/v1/policies"):
        assert api.get(listing, headers=theirs).json()["items"] == []
        assert api.get(listing, headers=ours).json()["items"] != []
    (record,) = api.get("/v1/audit-events", headers=theirs).json()["items"]
    assert record["action"] == "key.created"
    assert [key["tenant"] for key in api.get("/v1/keys", headers=theirs).json()["items"]] == ["theirs"]
    sources = {found["source"] for found in api.get("/v1/calibrations", headers=theirs).json()["items"]}
    assert sources == {"model"}
    for source in (known_clip, {"upload_id": ids["upload_id"]}):
        problem(api.post("/v1/jobs", json={"source": source}, headers=theirs), 404, "not_found")
    assert api.get(f"/v1/webhook-endpoints/{endpoint['id']}", headers=ours).json()["description"] is None
