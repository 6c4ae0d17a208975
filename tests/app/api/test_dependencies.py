"""Dependencies of routes: an operation requires the scope of its key."""

from fastapi.testclient import TestClient

from app.core.enums import Scope
from tests.support.api import MakeKey, problem, submit


def test_key_without_the_scope_is_forbidden(keyless_api: TestClient, make_key: MakeKey) -> None:
    reader, writer, admin = make_key(Scope.JOBS_READ), make_key(Scope.JOBS_WRITE), make_key(Scope.ADMIN)
    job = submit(keyless_api, headers=writer)
    assert keyless_api.get(f"/v1/jobs/{job['id']}", headers=reader).status_code == 200
    body = problem(keyless_api.get("/v1/jobs", headers=writer), 403, "forbidden_scope")
    assert "jobs:read" in body["detail"]
    for method, path in [
        ("POST", "/v1/jobs"),
        ("POST", f"/v1/jobs/{job['id']}:cancel"),
        ("DELETE", job["links"]["self"]),
    ]:
        problem(keyless_api.request(method, path, headers=reader), 403, "forbidden_scope")
    assert keyless_api.get("/v1/jobs", headers=admin).status_code == 200
    assert keyless_api.post(f"/v1/jobs/{job['id']}:cancel", headers=admin).status_code == 200
