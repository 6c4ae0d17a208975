"""Routes of calibrations: own clips, too few of them, activation and its undoing, simulation."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.enums import Scope
from app.services.models import register_default_model
from tests.support.api import (
    MP4,
    MakeKey,
    Sessions,
    create_calibration,
    create_policy,
    finish,
    finish_clips,
    problem,
    read_audit_log,
    submit,
    submit_and_finish,
)
from tests.support.factories import STRICT_POLICY, make_calibration, make_model

LOW = [0.002 * number for number in range(60)]
"""Probabilities of 60 real clips, all far below the thresholds of the model."""


@pytest.fixture
def own(api: TestClient, sessions: Sessions) -> dict[str, Any]:
    """Return a calibration on 60 clips with low probabilities. It is not active."""
    return create_calibration(api, job_ids=[job["id"] for job in finish_clips(api, sessions, LOW)])


def test_own_clips_give_rates_with_intervals_and_lower_thresholds(own: dict[str, Any]) -> None:
    assert (own["source"], own["active"], own["model"]) == ("own", False, "m")
    assert own["curve"]["real_clips"] == 60
    assert own["lowest_false_positive_rate"] == pytest.approx(0.05)
    thresholds = own["thresholds"]
    assert thresholds["suspicious_at"] == pytest.approx(LOW[-4])  # three of sixty are above
    assert thresholds["manipulated_at"] == pytest.approx(LOW[-1])  # 1 % cannot be shown: above all of them
    assert thresholds["manipulated_false_positive_rate"] == pytest.approx(0.05)
    strictest = own["curve"]["points"][0]
    assert strictest["false_positive_rate"]["high"] == pytest.approx(0.0596, abs=1e-4)
    # Without own fakes the recall is that of the model at its next higher threshold.
    assert strictest["true_positive_rate"]["value"] == 0.95
    assert own["curve"]["fake_clips"] == 40


def test_active_calibration_decides_later_verdicts_until_it_is_deactivated(
    api: TestClient, sessions: Sessions, own: dict[str, Any]
) -> None:
    assert submit_and_finish(api, sessions, 0.3)["verdict"] == "AUTHENTIC"
    path = f"/v1/calibrations/{own['id']}"
    assert api.post(f"{path}:activate").json() == own | {"active": True}
    job = submit_and_finish(api, sessions, 0.3)
    assert job["verdict"] == "MANIPULATED"
    assert job["result"]["policy"]["calibration_sha256"] == own["sha256"]
    assert job["result"]["false_positive_rate"]["clips"] == 60
    listed = {item["source"]: item["active"] for item in api.get("/v1/calibrations").json()["items"]}
    assert listed == {"own": True, "model": False}
    assert api.post(f"{path}:activate").json()["active"] is True
    assert api.post(f"{path}:deactivate").json() == own
    assert submit_and_finish(api, sessions, 0.3)["verdict"] == "AUTHENTIC"
    actions = [record["action"] for record in read_audit_log(api) if record["target"] == own["id"]]
    assert actions[-2:] == ["calibration.activated", "calibration.created"]
    assert "calibration.deactivated" in actions


def test_activation_replaces_the_calibration_that_was_active(
    api: TestClient, sessions: Sessions, own: dict[str, Any]
) -> None:
    other = create_calibration(api, job_ids=[job["id"] for job in finish_clips(api, sessions, LOW)])
    for calibration in (own, other):
        api.post(f"/v1/calibrations/{calibration['id']}:activate")

    def list_active() -> list[tuple[str | None, bool]]:
        return [(item["id"], item["active"]) for item in api.get("/v1/calibrations").json()["items"]]

    assert list_active() == [(other["id"], True), (own["id"], False), (None, False)]
    api.post(f"/v1/calibrations/{own['id']}:deactivate")  # it is not the active one
    assert list_active()[0] == (other["id"], True)
    api.post(f"/v1/calibrations/{other['id']}:deactivate")
    assert list_active() == [(other["id"], False), (own["id"], False), (None, True)]


def test_too_few_different_clips_are_refused_with_the_number_that_is_missing(
    api: TestClient, sessions: Sessions
) -> None:
    jobs = finish_clips(api, sessions, [0.1] * 41)
    jobs.append(submit(api, MP4 + bytes([0, 0])))  # the same clip twice
    finish(sessions)
    jobs += [submit_and_finish(api, sessions, None), submit(api, MP4 + b"queued")]  # without a score
    found = api.post("/v1/calibrations", json={"job_ids": [job["id"] for job in jobs]})
    detail = problem(found, 400, "too_few_clips")["detail"]
    assert "41 different real clips" in detail
    assert "Submit 19 more" in detail
    rates = {"suspicious_false_positive_rate": 0.01, "manipulated_false_positive_rate": 0.01}
    strict = api.post("/v1/calibrations", json={"job_ids": [jobs[0]["id"]], "rates": rates})
    assert "needs 300" in problem(strict, 400, "too_few_clips")["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"feedback": True, "batch_id": "batch_x"}, ""),
        ({"job_ids": ["nonsense"]}, "/job_ids/0"),
        ({"job_ids": [f"job_{1:032}"]}, "/job_ids/0"),
        ({"batch_id": "batch_x"}, "/batch_id"),
        ({"feedback": True, "rates": {"suspicious_false_positive_rate": 0.001}}, "/rates"),
    ],
)
def test_invalid_request_names_the_field(api: TestClient, body: dict[str, Any], pointer: str) -> None:
    answer = problem(api.post("/v1/calibrations", json=body), 400, "invalid_request")
    assert [error["pointer"] for error in answer["errors"]] == [pointer]


def test_feedback_gives_reals_and_fakes(api: TestClient, sessions: Sessions) -> None:
    jobs = finish_clips(api, sessions, [*LOW, *[0.9] * 30, 0.5])
    labels = ["real"] * 60 + ["fake"] * 30 + ["unsure"]
    for job, label in zip(jobs, labels, strict=True):
        api.post(f"/v1/jobs/{job['id']}/feedback", json={"label": "fake" if label == "real" else "real"})
        api.post(f"/v1/jobs/{job['id']}/feedback", json={"label": label})  # the newest counts
    own = create_calibration(api, feedback=True)
    assert (own["curve"]["real_clips"], own["curve"]["fake_clips"]) == (60, 30)
    assert own["thresholds"]["clear_at"] is not None
    assert own["curve"]["points"][0]["true_positive_rate"]["value"] == 1.0


def test_few_own_fakes_keep_the_recall_of_the_model(api: TestClient, sessions: Sessions) -> None:
    for job, label in zip(finish_clips(api, sessions, [*LOW, 0.9]), ["real"] * 60 + ["fake"], strict=True):
        api.post(f"/v1/jobs/{job['id']}/feedback", json={"label": label})
    own = create_calibration(api, feedback=True)
    assert own["curve"]["fake_clips"] == 40
    assert own["thresholds"]["clear_at"] is not None


def test_clip_with_contradicting_feedback_does_not_count(api: TestClient, sessions: Sessions) -> None:
    jobs = finish_clips(api, sessions, LOW)
    api.post(f"/v1/jobs/{jobs[0]['id']}/feedback", json={"label": "fake"})
    answer = api.post("/v1/calibrations", json={"job_ids": [job["id"] for job in jobs]})
    assert "59 different real clips" in problem(answer, 400, "too_few_clips")["detail"]


def test_most_frequent_model_is_calibrated(api: TestClient, sessions: Sessions) -> None:
    jobs = finish_clips(api, sessions, LOW)
    jobs.append(submit(api, MP4 + b"newer"))
    finish(sessions, calibration=make_calibration(version="2"))
    own = create_calibration(api, job_ids=[job["id"] for job in jobs])
    assert (own["version"], own["curve"]["real_clips"]) == ("1", 60)


def test_old_verdicts_are_decided_again_by_the_active_calibration(
    api: TestClient, sessions: Sessions, own: dict[str, Any]
) -> None:
    job = submit_and_finish(api, sessions, 0.3)
    api.post(f"/v1/calibrations/{own['id']}:activate")
    again = api.post(f"{job['links']['self']}:reanalyze").json()
    assert (job["verdict"], again["verdict"]) == ("AUTHENTIC", "MANIPULATED")


def test_batch_of_real_clips_is_a_source(api: TestClient, sessions: Sessions) -> None:
    clips = [submit(api, MP4 + bytes([number])) for number in range(60)]
    items = [{"source": {"sha256": job["clip"]["sha256"]}} for job in clips]
    for _ in clips:
        finish(sessions)
    batch = api.post("/v1/batches", json={"items": items}).json()
    for _ in items:
        finish(sessions)
    assert create_calibration(api, batch_id=batch["id"])["curve"]["real_clips"] == 60


def test_simulation_counts_what_would_change_and_changes_nothing(
    api: TestClient, sessions: Sessions, own: dict[str, Any]
) -> None:
    job = submit_and_finish(api, sessions, 0.3)
    path = f"/v1/calibrations/{own['id']}:simulate"
    body = api.post(path, json={"jobs_max": 1}).json()
    assert (body["jobs"], body["flips"]) == (1, 1)
    assert body["examples"][0]["verdict_then"] == "MANIPULATED"
    assert api.get(job["links"]["self"]).json() == job


def test_policy_is_checked_against_the_calibration_that_holds(
    api: TestClient, sessions: Sessions, own: dict[str, Any]
) -> None:
    with sessions() as session:
        register_default_model(session, sha256="0" * 64, model=make_model(), calibration=make_calibration())
    policy = create_policy(api, **STRICT_POLICY)
    assert policy["warnings"] == []
    api.post(f"/v1/calibrations/{own['id']}:activate")
    (warning,) = api.get(f"/v1/policies/{policy['id']}").json()["warnings"]
    assert (warning["code"], "60 real clips" in warning["detail"]) == ("rate_not_shown", True)
    simulated = api.post(f"/v1/policies/{policy['id']}:simulate", json={}).json()
    assert [one["code"] for one in simulated["warnings"]] == ["rate_not_shown"]
    job = submit_and_finish(api, sessions, 0.3, policy="strict")
    assert [one["code"] for one in job["result"]["warnings"]] == ["rate_not_shown"]


def test_calibration_of_an_older_version_is_named_on_results_of_the_newer(
    api: TestClient, sessions: Sessions, own: dict[str, Any]
) -> None:
    api.post(f"/v1/calibrations/{own['id']}:activate")
    job = submit(api)
    finish(sessions, calibration=make_calibration(version="2"), detector_sha256="1" * 64)
    found = api.get(job["links"]["result"]).json()
    assert found["policy"]["calibration_sha256"] == make_calibration(version="2").compute_sha256()
    (warning,) = found["warnings"]
    assert (warning["code"], "belongs to m 1" in warning["detail"]) == ("own_calibration_unused", True)


def test_calibrations_need_their_scope(keyless_api: TestClient, make_key: MakeKey) -> None:
    writer = make_key(Scope.JOBS_WRITE)
    answer = keyless_api.post("/v1/calibrations", json={"feedback": True}, headers=writer)
    problem(answer, 403, "forbidden_scope")
    allowed = make_key(Scope.CALIBRATIONS_WRITE)
    answer = keyless_api.post("/v1/calibrations", json={"feedback": True}, headers=allowed)
    problem(answer, 400, "too_few_clips")
