"""Error handlers: every error is a problem document (RFC 9457)."""

from fastapi.testclient import TestClient

from app.core.settings import Settings
from tests.support.api import make_client, problem


def test_unknown_path_and_method_are_problems(api: TestClient) -> None:
    problem(api.get("/v1/unknown"), 404, "not_found")
    unknown = "/v1/jobs/job_" + "0" * 32
    for path, allowed in [
        ("/v1/jobs", "GET, HEAD, POST"),
        (unknown, "DELETE, GET, HEAD"),
        (unknown + ":cancel", "POST"),
    ]:
        response = api.put(path)
        problem(response, 405, "method_not_allowed")
        assert response.headers["allow"] == allowed
    problem(api.post(unknown + ":unknown"), 404, "not_found")


def test_malformed_json_is_refused_without_a_field(api: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/policies", "/v1/jobs"):
        body = problem(api.post(path, content=b'{"name": "x",', headers=headers), 400, "invalid_request")
        assert [field["pointer"] for field in body["errors"]] == [""]


def test_body_that_is_no_json_is_refused(api: TestClient) -> None:
    for content in (b"\xff", b"{"):
        headers = {"Content-Type": "application/json"}
        problem(api.post("/v1/webhook-endpoints", content=content, headers=headers), 400, "invalid_request")


def test_unavailable_database_is_answered_with_503(settings: Settings) -> None:
    unavailable = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:9/none"})
    with make_client(unavailable) as api:
        response = api.get("/v1/jobs")
        problem(response, 503, "overloaded")
        assert int(response.headers["retry-after"]) > 0
        assert api.get("/readyz").status_code == 503
        assert api.get("/livez").status_code == 200
