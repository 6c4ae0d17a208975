"""Reanalysis: another policy decides a stored result without the clip."""

from uuid import UUID

from fastapi.testclient import TestClient
from sqlalchemy import select

from app.core.enums import EventType
from app.db.tables.jobs import Job
from app.db.tables.webhooks import WebhookEvent
from tests.support.api import Sessions, create_policy, finish, problem, read_body, submit, submit_and_finish
from tests.support.factories import LOOSE_POLICY


def test_other_policy_decides_the_stored_result_at_once(api: TestClient, sessions: Sessions) -> None:
    api.post("/v1/webhook-endpoints", json={"url": "https://webhooks.example/", "events": ["job.verdict_changed"]})
    old = submit_and_finish(api, sessions, 0.3, external_id="post-1")
    create_policy(api, **LOOSE_POLICY)
    response = api.post(f"{old['links']['self']}:reanalyze", json={"policy": "loose"})
    new = response.json()
    assert (response.status_code, response.headers["location"]) == (200, new["links"]["self"])
    assert (new["status"], new["verdict"], new["reanalysis_of"]) == ("succeeded", "SUSPICIOUS", old["id"])
    assert (new["external_id"], new["clip"]["sha256"]) == ("post-1", old["clip"]["sha256"])
    assert api.get(new["links"]["frames"]).json() == api.get(old["links"]["frames"]).json()
    assert api.get(old["links"]["self"]).json() == old
    with sessions() as session:
        (event,) = session.scalars(select(WebhookEvent)).all()
    assert event.type is EventType.JOB_VERDICT_CHANGED
    data = read_body(event)["data"]
    assert (data["verdict"], data["before"]) == ("SUSPICIOUS", {"id": old["id"], "verdict": "AUTHENTIC"})
    same = api.post(f"{new['links']['self']}:reanalyze", json={"policy": "loose"}).json()
    assert same["verdict"] == "SUSPICIOUS"
    with sessions() as session:
        assert len(session.scalars(select(WebhookEvent)).all()) == 1


def test_result_of_deleted_clip_is_reanalyzed(api: TestClient, sessions: Sessions) -> None:
    first, old = submit_and_finish(api, sessions), submit_and_finish(api, sessions)
    for job in (first, old):
        with sessions() as session, session.begin():
            row = session.get_one(Job, UUID(job["id"][4:]))
            row.clip_deleted_at = row.finished_at
    create_policy(api, **LOOSE_POLICY)
    again = api.post(f"{old['links']['self']}:reanalyze", json={"policy": "loose"}).json()
    assert again["verdict"] == "SUSPICIOUS"
    assert again["clip"]["deleted_at"] is not None


def test_job_without_result_is_not_reanalyzed(api: TestClient, sessions: Sessions) -> None:
    queued = submit(api)
    path = f"{queued['links']['self']}:reanalyze"
    create_policy(api, **LOOSE_POLICY)
    problem(api.post(path, json={"policy": "loose"}), 409, "no_result")
    problem(api.post(path), 409, "no_result")
    problem(api.post(path, json={"model": "none-such"}), 400, "invalid_request")
    finish(sessions)
    problem(api.post(path, json={"policy": "none-such"}), 400, "invalid_request")
    api.delete(queued["links"]["self"])
    problem(api.post(path, json={"policy": "loose"}), 410, "gone_deleted")
