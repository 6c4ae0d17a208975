"""Pagination: cursors lead through all pages, and foreign cursors are refused."""

import base64

import pytest
from fastapi.testclient import TestClient

from tests.support.api import Sessions, finish, problem, submit


def test_pages_list_all_jobs_newest_first(api: TestClient) -> None:
    ids = [submit(api)["id"] for _ in range(5)]
    seen: list[str] = []
    url = "/v1/jobs?limit=2"
    while url:
        response = api.get(url)
        seen += [job["id"] for job in response.json()["items"]]
        url = response.links.get("next", {}).get("url", "")
    assert seen == ids[::-1]


@pytest.mark.parametrize("position", [-1, 2**31, 2**63])
def test_cursor_outside_the_column_range_is_refused(api: TestClient, sessions: Sessions, position: int) -> None:
    job = submit(api)
    finish(sessions, frames=1)
    forged = {"cursor": base64.urlsafe_b64encode(str(position).encode()).decode()}
    body = problem(api.get(job["links"]["frames"], params=forged), 400, "invalid_request")
    assert [field["pointer"] for field in body["errors"]] == ["/query/cursor"]
    late = api.get("/v1/audit-events", params=forged)
    assert late.status_code == (200 if position == 2**31 else 400)
