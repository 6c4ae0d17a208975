"""Policies: thresholds by what they cost, versions that never change, verdicts that are renewed without decoding."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.core.enums import EventType, JobStatus, Verdict
from app.db.tables.jobs import Job
from app.db.tables.policies import Policy
from app.db.tables.webhooks import WebhookEvent
from app.schemas.policies import Calibration
from app.services import attempts, verdicts
from tests.support.api import Sessions, finish, problem, submit
from tests.support.factories import make_calibration, make_found

STRICT = {"name": "strict", "suspicious_false_positive_rate": 0.01, "manipulated_false_positive_rate": 0.01}
LOOSE = {"name": "loose", "suspicious_false_positive_rate": 0.5, "manipulated_false_positive_rate": 0.05}


def create(api: TestClient, **policy: Any) -> dict[str, Any]:
    response = api.post("/v1/policies", json=policy)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


def judged(api: TestClient, sessions: Sessions, probability: float | None = 0.3, **options: Any) -> dict[str, Any]:
    """A job whose clip got this probability."""
    job = submit(api, **options)
    finish(sessions, frames=1, probability=probability)
    found: dict[str, Any] = api.get(job["links"]["self"]).json()
    return found


def test_without_a_policy_the_models_own_thresholds_judge(api: TestClient, sessions: Sessions) -> None:
    job = judged(api, sessions, 0.7)
    assert (job["verdict"], job["recommended_action"]) == ("SUSPICIOUS", "review")
    applied = job["result"]["policy"]
    assert (applied["id"], applied["name"], applied["version"]) == (None, "default", 0)
    assert (applied["suspicious_at"], applied["suspicious_false_positive_rate"]) == (0.6, 0.05)
    assert applied["calibration_sha256"] == make_calibration().sha256
    assert judged(api, sessions, None)["recommended_action"] == "none"


def test_a_policy_asks_for_rates_and_the_calibration_knows_the_thresholds(api: TestClient, sessions: Sessions) -> None:
    loose = create(api, **LOOSE, actions={"suspicious": "block"})
    job = judged(api, sessions, 0.3, policy="loose")
    assert (job["verdict"], job["recommended_action"]) == ("SUSPICIOUS", "block")
    assert job["result"]["tracks"][0]["verdict"] == "SUSPICIOUS"
    applied = job["result"]["policy"]
    assert (applied["id"], applied["version"]) == (loose["id"], 1)
    assert (applied["suspicious_at"], applied["manipulated_at"]) == (0.2, 0.6)
    assert judged(api, sessions, 0.3)["verdict"] == "AUTHENTIC"


@pytest.mark.parametrize(
    ("rate", "threshold", "told"), [(0.01, 0.9, 0.01), (0.04, 0.9, 0.01), (0.05, 0.6, 0.05), (0.001, 0.9, 0.01)]
)
def test_between_two_rates_the_stricter_is_taken(rate: float, threshold: float, told: float) -> None:
    changed = STRICT | {"suspicious_false_positive_rate": rate}
    policy = Policy(**changed, actions={}, version=1, id=UUID(int=1))
    applied = verdicts.apply(policy, make_calibration())
    assert (applied.suspicious_at, applied.suspicious_false_positive_rate) == (threshold, told)


def test_a_model_without_a_calibration_has_its_own_thresholds_alone() -> None:
    guess: Calibration = make_calibration(
        calibrated=False, operating_points=[], suspicious_false_positive_rate=None, manipulated_false_positive_rate=None
    )
    policy = Policy(**LOOSE, actions={}, version=1, id=UUID(int=1))
    judged = verdicts.decide(make_found(probability=0.3).payload, guess, policy)
    assert judged["verdict"] is Verdict.AUTHENTIC
    assert judged["policy"]["suspicious_false_positive_rate"] is None


def test_a_new_version_does_not_touch_what_was_judged(api: TestClient, sessions: Sessions) -> None:
    first = create(api, **(LOOSE | {"name": "default"}))
    queued = submit(api)
    second = create(api, **(STRICT | {"name": "default"}))
    assert (first["version"], second["version"]) == (1, 2)
    finish(sessions, probability=0.7)
    applied = api.get(queued["links"]["result"]).json()["policy"]
    assert (applied["id"], applied["name"]) == (first["id"], "default")
    assert judged(api, sessions, 0.7)["verdict"] == "AUTHENTIC"
    items = api.get("/v1/policies", params={"limit": 1}).json()
    assert [item["id"] for item in items["items"]] == [second["id"]]
    rest = api.get("/v1/policies", params={"cursor": items["next_cursor"]}).json()
    assert [item["id"] for item in rest["items"]] == [first["id"]]
    assert api.get(f"/v1/policies/{first['id']}").json() == first


@pytest.mark.parametrize(
    "changes",
    [
        {"manipulated_false_positive_rate": None},
        {"manipulated_false_positive_rate": 0.6},
        {"suspicious_false_positive_rate": 0.001},
        {"suspicious_false_positive_rate": 0},
        {"name": "Not A Name"},
        {"actions": {"manipulated": "explode"}},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(api: TestClient, changes: dict[str, Any]) -> None:
    problem(api.post("/v1/policies", json=STRICT | changes), 400, "invalid_request")


def test_a_job_cannot_name_what_is_not_there(api: TestClient) -> None:
    files: Any = {"file": ("a.mp4", b"\x00\x00\x00\x18ftypisom"), "options": (None, '{"policy": "none-such"}')}
    body = problem(api.post("/v1/jobs", files=files), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/options/policy"
    assert api.get("/v1/jobs").json()["items"] == []


def test_a_simulation_says_what_would_flip_and_changes_nothing(api: TestClient, sessions: Sessions) -> None:
    jobs = [judged(api, sessions, probability) for probability in (0.1, 0.3, 0.95, None)]
    queued = submit(api)
    loose = create(api, **LOOSE, actions={"manipulated": "block"})
    body = api.post(f"/v1/policies/{loose['id']}:simulate", json={}).json()
    assert (body["jobs"], body["flips"]) == (4, 2)
    assert body["verdicts"] == {"AUTHENTIC": 2, "MANIPULATED": 1, "NOT_EVALUATED": 1}
    assert body["verdicts_then"] == {"AUTHENTIC": 1, "SUSPICIOUS": 1, "MANIPULATED": 1, "NOT_EVALUATED": 1}
    assert [(flip["job_id"], flip["verdict_then"], flip["recommended_action_then"]) for flip in body["examples"]] == [
        (jobs[2]["id"], "MANIPULATED", "block"),
        (jobs[1]["id"], "SUSPICIOUS", "review"),
    ]
    newest = api.post(f"/v1/policies/{loose['id']}:simulate", json={"jobs_max": 1}).json()
    assert newest["jobs"] == 1
    late = {"created_after": jobs[2]["created_at"], "created_before": queued["created_at"]}
    assert api.post(f"/v1/policies/{loose['id']}:simulate", json=late).json()["jobs"] == 1
    assert [api.get(job["links"]["self"]).json() for job in jobs] == jobs
    problem(api.post(f"/v1/policies/pol_{1:032}:simulate", json={}), 404, "not_found")


def test_another_policy_judges_an_old_result_at_once(api: TestClient, sessions: Sessions) -> None:
    api.post("/v1/webhook-endpoints", json={"url": "https://webhooks.example/", "events": ["job.verdict_changed"]})
    old = judged(api, sessions, 0.3, external_id="post-1")
    create(api, **LOOSE)
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
    assert event.data == {"verdict": "SUSPICIOUS", "before": {"id": old["id"], "verdict": "AUTHENTIC"}}
    same = api.post(f"{new['links']['self']}:reanalyze", json={"policy": "loose"}).json()
    assert same["verdict"] == "SUSPICIOUS"
    with sessions() as session:
        assert len(session.scalars(select(WebhookEvent)).all()) == 1


def test_a_result_outlives_its_clip(api: TestClient, sessions: Sessions) -> None:
    first, old = judged(api, sessions), judged(api, sessions)
    for job in (first, old):
        with sessions() as session, session.begin():
            row = session.get_one(Job, UUID(job["id"][4:]))
            row.clip_deleted_at = row.finished_at
    create(api, **LOOSE)
    again = api.post(f"{old['links']['self']}:reanalyze", json={"policy": "loose"}).json()
    assert again["verdict"] == "SUSPICIOUS"
    assert again["clip"]["deleted_at"] is not None


def test_what_has_no_result_cannot_be_judged_anew(api: TestClient, sessions: Sessions) -> None:
    queued = submit(api)
    path = f"{queued['links']['self']}:reanalyze"
    create(api, **LOOSE)
    problem(api.post(path, json={"policy": "loose"}), 409, "no_result")
    problem(api.post(path, json={}), 400, "invalid_request")
    problem(api.post(path, json={"model": "none-such"}), 400, "invalid_request")
    finish(sessions)
    problem(api.post(path, json={"policy": "none-such"}), 400, "invalid_request")
    api.delete(queued["links"]["self"])
    problem(api.post(path, json={"policy": "loose"}), 410, "gone_deleted")


def test_a_twin_is_judged_by_the_policy_of_the_job_that_asks(api: TestClient, sessions: Sessions) -> None:
    create(api, **LOOSE)
    judged(api, sessions, 0.3)
    reusable = submit(api, policy="loose")
    with sessions() as session:
        attempt = attempts.claim_job(session, worker="w", lease=timedelta(minutes=1))
        assert attempt is not None
        assert attempts.reuse_result(session, attempt, detector_sha256="0" * 64)
    found = api.get(reusable["links"]["self"]).json()
    assert (found["status"], found["verdict"]) == (JobStatus.SUCCEEDED, "SUSPICIOUS")
    assert found["deduplicated_from"] is not None


def test_the_calibrations_say_what_rates_cost(api: TestClient, sessions: Sessions) -> None:
    judged(api, sessions)
    judged(api, sessions)
    (calibration,) = api.get("/v1/calibrations").json()["items"]
    assert calibration == make_calibration().model_dump(mode="json")
