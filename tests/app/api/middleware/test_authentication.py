"""Authentication: every path that is not public requires a key."""

import pytest
from fastapi.testclient import TestClient

from tests.conftest import API_KEY
from tests.support.api import problem


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dTpw"}])
def test_request_without_valid_key_is_unauthorized(keyless_api: TestClient, headers: dict[str, str]) -> None:
    for method, path in [("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/v1/unknown"), ("DELETE", "/v1/jobs/x")]:
        response = keyless_api.request(method, path, headers=headers)
        problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"


def test_key_in_x_api_key_is_accepted(keyless_api: TestClient) -> None:
    assert keyless_api.get("/v1/jobs", headers={"X-API-Key": API_KEY}).status_code == 200


@pytest.mark.parametrize("path", ["/v1", "/v2/jobs", "/metrics", "/docs/x", "/livez/x"])
def test_path_that_is_not_public_is_unauthorized(keyless_api: TestClient, path: str) -> None:
    problem(keyless_api.get(path), 401, "unauthorized")
