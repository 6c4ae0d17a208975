"""API keys: who may do what, for how long, how often; one tenant learns nothing of another."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.api.middleware.rate_limits import RateLimiter
from app.core.enums import Scope
from app.core.settings import Settings
from app.db.tables.keys import ApiKey
from app.main import create_app
from app.services import keys
from app.services.keys import KeyRequest, Principal
from tests.conftest import API_KEY
from tests.support.api import MP4, Sessions, finish, problem, submit

MakeKey = Callable[..., dict[str, str]]


@pytest.fixture
def app(settings: Settings, sessions: Sessions) -> Iterator[TestClient]:
    """The API without a key."""
    assert sessions
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture
def make_key(sessions: Sessions) -> MakeKey:
    """Makes a key and gives the header that carries it."""

    def make(*scopes: Scope, tenant: str = "acme", lifetime: timedelta | None = None, **limits: Any) -> dict[str, str]:
        with sessions() as session:
            request = KeyRequest(name="test", scopes=scopes, lifetime=lifetime, **limits)
            _, text = keys.create_key(session, request, tenant=tenant, pepper=API_KEY)
        return {"Authorization": f"Bearer {text}"}

    return make


def upload(app: TestClient, headers: dict[str, str]) -> dict[str, Any]:
    app.headers.update(headers)
    job = submit(app)
    del app.headers["Authorization"]
    return job


def test_a_key_does_what_its_scopes_say(app: TestClient, make_key: MakeKey) -> None:
    reader, writer, admin = make_key(Scope.JOBS_READ), make_key(Scope.JOBS_WRITE), make_key(Scope.ADMIN)
    job = upload(app, writer)
    assert app.get(f"/v1/jobs/{job['id']}", headers=reader).status_code == 200
    body = problem(app.get("/v1/jobs", headers=writer), 403, "forbidden_scope")
    assert "jobs:read" in body["detail"]
    for method, path in [
        ("POST", "/v1/jobs"),
        ("POST", f"/v1/jobs/{job['id']}:cancel"),
        ("DELETE", job["links"]["self"]),
    ]:
        problem(app.request(method, path, headers=reader), 403, "forbidden_scope")
    assert app.get("/v1/jobs", headers=admin).status_code == 200
    assert app.post(f"/v1/jobs/{job['id']}:cancel", headers=admin).status_code == 200


def test_a_key_ends_when_it_expires_or_is_revoked(app: TestClient, make_key: MakeKey, sessions: Sessions) -> None:
    short, long = make_key(Scope.ADMIN, lifetime=timedelta(days=1)), make_key(Scope.ADMIN)
    assert app.get("/v1/jobs", headers=short).status_code == 200
    with sessions() as session, session.begin():
        session.execute(update(ApiKey).where(ApiKey.expires_at.is_not(None)).values(expires_at=ApiKey.created_at))
    problem(app.get("/v1/jobs", headers=short), 401, "unauthorized")
    with sessions() as session:
        used = next(key for key in keys.list_keys(session) if key.expires_at is None)
        keys.revoke_key(session, used.id)
    problem(app.get("/v1/jobs", headers=long), 401, "unauthorized")


def test_only_the_whole_key_opens(app: TestClient, make_key: MakeKey, sessions: Sessions) -> None:
    text = make_key(Scope.ADMIN)["Authorization"].removeprefix("Bearer ")
    prefix, key_id, secret = text.split("_", 2)
    for wrong in [
        text[:-1],
        f"{prefix}_{key_id}_{secret[::-1]}",
        f"{prefix}_{key_id}_",
        f"x_{key_id}_{secret}",
        key_id,
    ]:
        problem(app.get("/v1/jobs", headers={"X-API-Key": wrong}), 401, "unauthorized")
    assert app.get("/v1/jobs", headers={"X-API-Key": text}).status_code == 200
    with sessions() as session:
        (stored,) = keys.list_keys(session)
    assert secret.encode() not in stored.digest
    assert stored.last_used_at is not None


def test_another_pepper_opens_nothing(settings: Settings, make_key: MakeKey) -> None:
    headers = make_key(Scope.ADMIN)
    other = Settings.model_validate(settings.model_dump() | {"key_pepper": "another"})
    with TestClient(create_app(other)) as app:
        problem(app.get("/v1/jobs", headers=headers), 401, "unauthorized")


_BODIES = {
    "/feedback": {"label": "fake"},
    ":reanalyze": {"policy": "default"},
    ":simulate": {},
    ":recover": {"since": "2026-01-01T00:00:00Z"},
    ":rotate-secret": {},
    "patch": {"description": "taken"},
}


def test_no_route_tells_a_tenant_about_anothers_things(app: TestClient, make_key: MakeKey, sessions: Sessions) -> None:
    ours, theirs = make_key(Scope.ADMIN, tenant="ours"), make_key(Scope.ADMIN, tenant="theirs")
    endpoint = app.post("/v1/webhook-endpoints", json={"url": "https://webhooks.example/"}, headers=ours).json()
    job = upload(app, ours)
    finish(sessions, frames=3)
    made = {
        "job_id": job,
        "endpoint_id": endpoint,
        "event_id": app.post(f"/v1/webhook-endpoints/{endpoint['id']}:test", headers=ours).json(),
        "policy_id": app.post("/v1/policies", json={"name": "default"}, headers=ours).json(),
        "upload_id": app.post("/v1/uploads", json={"bytes": 100}, headers=ours).json(),
        "batch_id": app.post(
            "/v1/batches", json={"items": [{"source": {"sha256": job["clip"]["sha256"]}}]}, headers=ours
        ).json(),
    }
    ids = {parameter: found["id"] for parameter, found in made.items()}
    unknown = {parameter: f"{found.partition('_')[0]}_{0:032}" for parameter, found in ids.items()}
    asked = 0
    for path, operations in app.get("/openapi.json").json()["paths"].items():
        for method in operations:
            if "{" not in path or "security" not in operations[method]:
                continue
            body = next((body for end, body in _BODIES.items() if path.endswith(end) or method == end), None)
            answers = [
                app.request(method, path.format(**chosen), headers=theirs, json=body) for chosen in (ids, unknown)
            ]
            known, foreign = (problem(answer, 404, "not_found") for answer in answers)
            assert known["detail"] == foreign["detail"]
            asked += 1
    assert asked == 24
    for listing in ("/v1/jobs", "/v1/webhook-endpoints", "/v1/policies"):
        assert app.get(listing, headers=theirs).json()["items"] == []
        assert app.get(listing, headers=ours).json()["items"] != []
    (line,) = app.get("/v1/audit-events", headers=theirs).json()["items"]
    assert line["action"] == "key.created"
    for source in ({"sha256": job["clip"]["sha256"]}, {"upload_id": ids["upload_id"]}):
        problem(app.post("/v1/jobs", json={"source": source}, headers=theirs), 404, "not_found")
    assert app.get(f"/v1/webhook-endpoints/{endpoint['id']}", headers=ours).json()["description"] is None


def test_a_key_that_asks_too_often_is_told_when_to_come_back(settings: Settings, make_key: MakeKey) -> None:
    slow = settings.model_copy(update={"rate_limit": "3/hour"})
    eager, calm = make_key(Scope.ADMIN), make_key(Scope.ADMIN)
    with TestClient(create_app(slow)) as app:
        answers = [app.get("/v1/jobs", headers=eager) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        problem(answers[-1], 429, "rate_limited")
        assert 0 < int(answers[-1].headers["retry-after"]) <= 7200
        assert app.get("/v1/jobs", headers=calm).status_code == 200


def test_a_key_has_quotas_of_its_own(app: TestClient, make_key: MakeKey) -> None:
    poor, rich = (
        make_key(Scope.ADMIN, jobs_per_day=2, bytes_per_day=10_000, rate_limit="100/minute"),
        make_key(Scope.ADMIN),
    )
    assert app.get("/v1/jobs", headers=poor).headers["ratelimit-limit"] == "100"
    for _ in range(2):
        upload(app, poor)
    files: Any = {"file": ("a.mp4", MP4)}
    body = problem(app.post("/v1/jobs", files=files, headers=poor), 429, "quota_exceeded")
    assert "2 jobs a day" in body["detail"]
    item = {"source": {"url": "https://cdn.example/a.mp4"}}
    problem(app.post("/v1/batches", json={"items": [item]}, headers=poor), 429, "quota_exceeded")
    body = problem(app.post("/v1/uploads", json={"bytes": 9_900}, headers=poor), 429, "quota_exceeded")
    assert "10000 bytes a day" in body["detail"]
    assert app.post("/v1/uploads", json={"bytes": 8_000}, headers=poor).status_code == 201
    upload(app, rich)


@pytest.mark.parametrize("is_declared", [True, False])
def test_bytes_count_whether_they_are_declared_or_not(app: TestClient, make_key: MakeKey, is_declared: bool) -> None:
    poor = make_key(Scope.ADMIN, bytes_per_day=len(MP4) + 50)
    headers = poor | {"Content-Type": "application/octet-stream"}
    send = [app.post("/v1/jobs", content=MP4 if is_declared else iter([MP4]), headers=headers) for _ in range(2)]
    assert send[0].status_code == 202
    problem(send[1], 429, "quota_exceeded")
    assert len(app.get("/v1/jobs", headers=poor).json()["items"]) == 1


def test_without_redis_nobody_is_refused() -> None:
    limiter = RateLimiter("redis://127.0.0.1:9", rate="1/hour", jobs_per_day=1, bytes_per_day=1)
    somebody = Principal(tenant="acme", key_id="k", scopes=frozenset())
    assert [limiter.hit(somebody) for _ in range(3)] == [None, None, None]
    limiter.consume_jobs(somebody, 1000)


def test_the_command_line_makes_lists_and_revokes_keys(settings: Settings, app: TestClient, tmp_path: Any) -> None:
    environment = os.environ | {"UNMASK_DATABASE_URL": str(settings.database_url), "UNMASK_API_KEY": API_KEY}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "app.cli.main", "keys", *arguments]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    text = run("create", "pipeline", "--tenant", "acme", "--scope", "jobs:read", "--days", "30")
    headers = {"Authorization": f"Bearer {text}"}
    assert app.get("/v1/jobs", headers=headers).status_code == 200
    key_id, tenant, scopes, validity, name = run("list").split("\t")
    assert (tenant, scopes, name) == ("acme", "jobs:read", "pipeline")
    assert validity.startswith("until ")
    assert text.split("_")[1] == key_id
    run("revoke", key_id)
    assert app.get("/v1/jobs", headers=headers).status_code == 401
    assert "revoked" in run("list")
