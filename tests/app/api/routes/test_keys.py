"""Routes of API keys: creation, tenants, revocation."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.enums import Scope
from tests.support.api import MakeKey, problem

REQUEST: dict[str, Any] = {
    "name": "pipeline",
    "scopes": ["jobs:read"],
    "expires_in_days": 30,
    "rate_limit": "60/minute",
}


def test_created_key_works_until_it_is_revoked(api: TestClient, keyless_api: TestClient) -> None:
    created = api.post("/v1/keys", json=REQUEST).json()
    headers = {"Authorization": f"Bearer {created['key']}"}
    assert keyless_api.get("/v1/jobs", headers=headers).status_code == 200
    problem(keyless_api.get("/v1/keys", headers=headers), 403, "forbidden_scope")
    (listed,) = api.get("/v1/keys").json()["items"]
    assert (listed["id"], listed["name"], listed["scopes"]) == (created["id"], "pipeline", ["jobs:read"])
    assert listed["expires_at"] is not None
    assert listed["rate_limit"] == "60/minute"
    assert "key" not in listed
    assert api.delete(f"/v1/keys/{created['id']}").status_code == 204
    problem(keyless_api.get("/v1/jobs", headers=headers), 401, "unauthorized")
    assert api.get("/v1/keys").json()["items"][0]["revoked_at"] is not None


def test_only_the_operator_creates_keys_of_other_tenants(
    api: TestClient, keyless_api: TestClient, make_key: MakeKey
) -> None:
    acme = make_key(Scope.ADMIN, tenant="acme")
    answer = keyless_api.post("/v1/keys", json=REQUEST | {"tenant": "other"}, headers=acme)
    problem(answer, 403, "forbidden_scope")
    problem(keyless_api.post("/v1/keys", json=REQUEST, headers=acme), 403, "forbidden_scope")  # it sets a limit
    created = keyless_api.post("/v1/keys", json=REQUEST | {"rate_limit": None}, headers=acme).json()
    assert (created["tenant"], created["rate_limit"]) == ("acme", None)
    assert api.post("/v1/keys", json=REQUEST | {"tenant": "other"}).json()["tenant"] == "other"
    assert {key["tenant"] for key in keyless_api.get("/v1/keys", headers=acme).json()["items"]} == {"acme"}
    assert {key["tenant"] for key in api.get("/v1/keys").json()["items"]} == {"acme", "other"}


@pytest.mark.parametrize(
    "changes", [{"scopes": []}, {"scopes": ["root"]}, {"rate_limit": "fast"}, {"expires_in_days": 0}, {"name": ""}]
)
def test_invalid_key_is_refused(api: TestClient, changes: dict[str, Any]) -> None:
    problem(api.post("/v1/keys", json=REQUEST | changes), 400, "invalid_request")


def test_key_of_a_tenant_passes_its_limits_on_and_does_not_outlive_itself(
    api: TestClient, keyless_api: TestClient
) -> None:
    limits = {"rate_limit": "60/minute", "jobs_per_day": 100, "bytes_per_day": 10**9}
    wanted = {"name": "acme", "tenant": "acme", "scopes": ["admin"]}
    limited = api.post("/v1/keys", json=wanted | limits).json()
    made = keyless_api.post(
        "/v1/keys",
        json={"name": "more", "scopes": ["jobs:write"]},
        headers={"Authorization": f"Bearer {limited['key']}"},
    ).json()
    assert {name: made[name] for name in limits} == limits
    short = api.post("/v1/keys", json=wanted | {"expires_in_days": 1}).json()
    answer = keyless_api.post(
        "/v1/keys",
        json={"name": "forever", "scopes": ["admin"]},
        headers={"Authorization": f"Bearer {short['key']}"},
    )
    assert "expires" in problem(answer, 403, "forbidden_scope")["detail"]
