"""Policies of jobs: the thresholds that decide the verdict of a new, stored or reused result."""

from fastapi.testclient import TestClient

from app.core.enums import JobStatus
from app.services import attempts
from tests.support.api import Sessions, create_policy, submit, submit_and_finish
from tests.support.factories import LOOSE_POLICY, make_calibration
from tests.support.jobs import claim_job


def test_job_without_policy_uses_the_thresholds_of_the_model(api: TestClient, sessions: Sessions) -> None:
    job = submit_and_finish(api, sessions, 0.7)
    assert (job["verdict"], job["recommended_action"]) == ("SUSPICIOUS", "review")
    applied = job["result"]["policy"]
    assert (applied["id"], applied["name"], applied["version"]) == (None, "default", 0)
    thresholds = job["result"]["thresholds"]
    assert (thresholds["suspicious_at"], thresholds["suspicious_false_positive_rate"]) == (0.6, 0.05)
    assert applied["calibration_sha256"] == make_calibration().compute_sha256()
    assert submit_and_finish(api, sessions, None)["recommended_action"] == "review"


def test_job_with_policy_uses_the_thresholds_of_its_rates(api: TestClient, sessions: Sessions) -> None:
    loose = create_policy(api, **LOOSE_POLICY, actions={"suspicious": "block"})
    job = submit_and_finish(api, sessions, 0.3, policy="loose")
    assert (job["verdict"], job["recommended_action"]) == ("SUSPICIOUS", "block")
    assert job["result"]["tracks"][0]["verdict"] == "SUSPICIOUS"
    applied = job["result"]["policy"]
    assert (applied["id"], applied["version"]) == (loose["id"], 1)
    thresholds = job["result"]["thresholds"]
    assert (thresholds["suspicious_at"], thresholds["manipulated_at"]) == (0.2, 0.6)
    assert submit_and_finish(api, sessions, 0.3)["verdict"] == "AUTHENTIC"


def test_reused_result_is_decided_by_the_policy_of_the_new_job(api: TestClient, sessions: Sessions) -> None:
    create_policy(api, **LOOSE_POLICY)
    submit_and_finish(api, sessions, 0.3)
    repeated = submit(api, policy="loose")
    attempt = claim_job(sessions)
    with sessions() as session:
        assert attempts.reuse_result(session, attempt, detector_sha256="0" * 64)
    found = api.get(repeated["links"]["self"]).json()
    assert (found["status"], found["verdict"]) == (JobStatus.SUCCEEDED, "SUSPICIOUS")
    assert found["deduplicated_from"] is not None
