"""Routes of the audit log: pages of records."""

from fastapi.testclient import TestClient

from tests.support.api import submit


def test_records_are_listed_newest_first_page_by_page(api: TestClient) -> None:
    jobs = [submit(api) for _ in range(2)]
    first = api.get("/v1/audit-events", params={"limit": 1}).json()
    second = api.get("/v1/audit-events", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [first["items"][0]["target"], second["items"][0]["target"]] == [jobs[1]["id"], jobs[0]["id"]]
    assert second["next_cursor"] is None
