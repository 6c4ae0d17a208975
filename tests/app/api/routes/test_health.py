"""Routes of health: liveness and readiness need no key."""

from fastapi.testclient import TestClient


def test_liveness_and_readiness_need_no_key(keyless_api: TestClient) -> None:
    assert keyless_api.get("/livez").json() == {"status": "ok", "checks": {}}
    ready = keyless_api.get("/readyz").json()
    assert ready == {"status": "ok", "checks": {"database": "ok", "storage": "ok", "queue": "ok"}}
