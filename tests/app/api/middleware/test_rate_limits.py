"""Rate limits and quotas per key."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.middleware.rate_limits import RateLimiter
from app.core.enums import Scope
from app.core.settings import Settings
from app.main import create_app
from app.services.keys import Principal
from tests.support.api import MP4, MakeKey, post_clip, problem, submit


def test_key_over_its_rate_limit_is_refused_until_later(settings: Settings, make_key: MakeKey) -> None:
    slow = settings.model_copy(update={"rate_limit": "3/hour"})
    frequent, other = make_key(Scope.ADMIN), make_key(Scope.ADMIN)
    with TestClient(create_app(slow)) as api:
        answers = [api.get("/v1/jobs", headers=frequent) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
        problem(answers[-1], 429, "rate_limited")
        assert 0 < int(answers[-1].headers["retry-after"]) <= 7200
        assert api.get("/v1/jobs", headers=other).status_code == 200


def test_key_over_its_own_quota_is_refused(keyless_api: TestClient, make_key: MakeKey) -> None:
    api = keyless_api
    limited = make_key(Scope.ADMIN, jobs_per_day=2, bytes_per_day=10_000, rate_limit="100/minute")
    unlimited = make_key(Scope.ADMIN)
    assert api.get("/v1/jobs", headers=limited).headers["ratelimit-limit"] == "100"
    for _ in range(2):
        submit(api, headers=limited)
    body = problem(post_clip(api, headers=limited), 429, "quota_exceeded")
    assert "2 jobs per day" in body["detail"]
    item = {"source": {"url": "https://cdn.example/a.mp4"}}
    problem(api.post("/v1/batches", json={"items": [item]}, headers=limited), 429, "quota_exceeded")
    body = problem(api.post("/v1/uploads", json={"bytes": 9_900}, headers=limited), 429, "quota_exceeded")
    assert "10000 bytes per day" in body["detail"]
    assert api.post("/v1/uploads", json={"bytes": 8_000}, headers=limited).status_code == 201
    submit(api, headers=unlimited)


@pytest.mark.parametrize("is_declared", [True, False])
def test_bytes_count_with_and_without_content_length(
    keyless_api: TestClient, make_key: MakeKey, *, is_declared: bool
) -> None:
    limited = make_key(Scope.ADMIN, bytes_per_day=len(MP4) + 50)
    headers = limited | {"Content-Type": "application/octet-stream"}
    contents: list[Any] = [MP4 if is_declared else iter([MP4]) for _ in range(2)]
    first, second = (keyless_api.post("/v1/jobs", content=content, headers=headers) for content in contents)
    assert first.status_code == 202
    problem(second, 429, "quota_exceeded")
    assert len(keyless_api.get("/v1/jobs", headers=limited).json()["items"]) == 1


def test_unavailable_redis_refuses_no_request() -> None:
    limiter = RateLimiter("redis://127.0.0.1:9", rate="1/hour", jobs_per_day=1, bytes_per_day=1)
    principal = Principal(tenant="acme", key_id="k", scopes=frozenset())
    assert [limiter.hit(principal) for _ in range(3)] == [None, None, None]
    limiter.consume_jobs(principal, 1000)
