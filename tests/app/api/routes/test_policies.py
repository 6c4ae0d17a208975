"""Routes of policies: versions, validation, simulation, calibrations."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.services.models import register_default_model
from tests.support.api import Sessions, create_policy, finish, problem, submit, submit_and_finish
from tests.support.factories import LOOSE_POLICY, STRICT_POLICY, make_calibration, make_curve, make_model


def test_new_version_does_not_change_submitted_jobs(api: TestClient, sessions: Sessions) -> None:
    first = create_policy(api, **(LOOSE_POLICY | {"name": "default"}))
    queued = submit(api)
    second = create_policy(api, **(STRICT_POLICY | {"name": "default"}))
    assert (first["version"], second["version"]) == (1, 2)
    finish(sessions, probability=0.7)
    applied = api.get(queued["links"]["result"]).json()["policy"]
    assert (applied["id"], applied["name"]) == (first["id"], "default")
    assert submit_and_finish(api, sessions, 0.7)["verdict"] == "INCONCLUSIVE"
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
        {"manipulated_false_positive_rate": 5e-324},
        {"name": "Not A Name"},
        {"actions": {"manipulated": "explode"}},
    ],
)
def test_invalid_policy_is_refused(api: TestClient, changes: dict[str, Any]) -> None:
    problem(api.post("/v1/policies", json=STRICT_POLICY | changes), 400, "invalid_request")


def test_empty_body_where_fields_are_needed_is_refused_with_what_to_send(api: TestClient) -> None:
    (error,) = problem(api.post("/v1/policies"), 400, "invalid_request")["errors"]
    assert "Send a JSON object" in error["detail"]


def test_simulation_counts_flips_and_changes_nothing(api: TestClient, sessions: Sessions) -> None:
    jobs = [submit_and_finish(api, sessions, probability) for probability in (0.1, 0.3, 0.95, None)]
    queued = submit(api)
    loose = create_policy(api, **LOOSE_POLICY, actions={"manipulated": "block"})
    body = api.post(f"/v1/policies/{loose['id']}:simulate", json={}).json()
    assert (body["jobs"], body["flips"]) == (4, 2)
    assert body["verdicts"] == {"AUTHENTIC": 2, "MANIPULATED": 1, "NOT_EVALUATED": 1}
    assert body["verdicts_then"] == {"AUTHENTIC": 1, "SUSPICIOUS": 1, "MANIPULATED": 1, "NOT_EVALUATED": 1}
    assert [(flip["job_id"], flip["verdict_then"], flip["recommended_action_then"]) for flip in body["examples"]] == [
        (jobs[2]["id"], "MANIPULATED", "block"),
        (jobs[1]["id"], "SUSPICIOUS", "review"),
    ]
    assert api.post(f"/v1/policies/{loose['id']}:simulate").json() == body  # each field has a default
    newest = api.post(f"/v1/policies/{loose['id']}:simulate", json={"jobs_max": 1}).json()
    assert newest["jobs"] == 1
    late = {"created_after": jobs[2]["created_at"], "created_before": queued["created_at"]}
    assert api.post(f"/v1/policies/{loose['id']}:simulate", json=late).json()["jobs"] == 1
    assert [api.get(job["links"]["self"]).json() for job in jobs] == jobs
    problem(api.post(f"/v1/policies/pol_{1:032}:simulate", json={}), 404, "not_found")


def test_rate_that_the_default_model_cannot_show_is_refused(api: TestClient, sessions: Sessions) -> None:
    model = make_model()
    with sessions() as session:
        register_default_model(session, sha256="0" * 64, model=model, calibration=make_calibration())
    rates = {"suspicious_false_positive_rate": 0.05, "manipulated_false_positive_rate": 0.001}
    answer = problem(api.post("/v1/policies", json=STRICT_POLICY | rates), 400, "rate_not_supported")
    assert [error["pointer"] for error in answer["errors"]] == ["/manipulated_false_positive_rate"]
    assert "can show 0.75% at the lowest; 0.10% needs 3000" in answer["detail"]
    assert create_policy(api, **STRICT_POLICY)["warnings"] == []
    small = make_calibration(make_curve([(0.95, 0, 0.3), (0, 1, 1)], reals=83), model="small")
    with sessions() as session:
        register_default_model(session, sha256="1" * 64, model=model, calibration=small)
    detail = problem(api.post("/v1/policies", json=STRICT_POLICY), 400, "rate_not_supported")["detail"]
    assert "can show 3.62% at the lowest" in detail
    (listed,) = api.get("/v1/policies").json()["items"]
    assert ["small 1" in warning["detail"] for warning in listed["warnings"]] == [True]


def test_calibration_of_several_jobs_is_listed_once(api: TestClient, sessions: Sessions) -> None:
    submit_and_finish(api, sessions)
    submit_and_finish(api, sessions)
    (calibration,) = api.get("/v1/calibrations").json()["items"]
    assert make_calibration().model_dump(mode="json").items() <= calibration.items()
    assert calibration["sha256"] == make_calibration().compute_sha256()
