"""Frames as JSON, NDJSON and CSV."""

import csv
import io
import json

import pytest
from fastapi.testclient import TestClient

from tests.support.api import Sessions, finish, submit


def test_formats_have_the_same_frames(api: TestClient, sessions: Sessions) -> None:
    url = submit(api)["links"]["frames"]
    finish(sessions, frames=5)
    pages = [api.get(url, params={"limit": 3})]
    pages.append(api.get(pages[0].links["next"]["url"]))
    rows = [row for page in pages for row in page.json()["items"]]
    assert [row["pts_seconds"] for row in rows] == [0.0, 0.04, 0.08, 0.12, 0.16]
    assert pages[1].json()["next_cursor"] is None
    lines = api.get(url, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == rows
    table = api.get(url, headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    times = [float(row["pts_seconds"]) for row in csv.DictReader(io.StringIO(table.text))]
    assert times == [0.0, 0.04, 0.08, 0.12, 0.16]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("image/png", "application/json"),
        ("text/csv;q=0, application/json", "application/json"),
        ("TEXT/CSV", "text/csv; charset=utf-8"),
        ("application/json;q=0.5, application/x-ndjson;q=0.9", "application/x-ndjson"),
        ("text/csv;q=nonsense", "application/json"),
    ],
)
def test_accept_selects_the_format(api: TestClient, sessions: Sessions, accept: str, media_type: str) -> None:
    url = submit(api)["links"]["frames"]
    finish(sessions, frames=1)
    assert api.get(url, headers={"Accept": accept}).headers["content-type"] == media_type
