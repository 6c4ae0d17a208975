"""Audit log: a refused request leaves no record."""

from fastapi.testclient import TestClient

from tests.support.api import problem, read_audit_log, submit


def test_refused_request_leaves_no_record(api: TestClient) -> None:
    submit(api)
    before = read_audit_log(api)
    problem(api.delete(f"/v1/jobs/job_{0:032}"), 404, "not_found")
    problem(api.post("/v1/policies", json={"name": "x", "suspicious_false_positive_rate": 0.1}), 400, "invalid_request")
    assert read_audit_log(api) == before
