"""Route of the quality of verdicts."""

import pytest
from fastapi.testclient import TestClient

from app.core.enums import Scope
from tests.support.api import MakeKey, Sessions, finish_clips


def test_quality_compares_verdicts_with_the_newest_feedback(
    api: TestClient, keyless_api: TestClient, make_key: MakeKey, sessions: Sessions
) -> None:
    assert api.get("/v1/quality").json() == {"items": []}
    flagged, clear = 0.95, 0.1
    labelled: list[tuple[float | None, str]] = [
        *[(flagged, "fake")] * 3,
        (flagged, "real"),
        (clear, "fake"),
        *[(clear, "real")] * 5,
        (flagged, "unsure"),
        (None, "fake"),
    ]
    jobs = finish_clips(api, sessions, [probability for probability, _ in labelled])
    for job, (_, label) in zip(jobs, labelled, strict=True):
        for chosen in ("unsure", label):
            api.post(f"/v1/jobs/{job['id']}/feedback", json={"label": chosen})
    (quality,) = api.get("/v1/quality").json()["items"]
    assert (quality["model"], quality["version"], quality["policy"], quality["reviewed"]) == ("m", "1", "default", 10)
    rates = {name: (quality[name]["value"], quality[name]["clips"]) for name in ("precision", "recall", "agreement")}
    assert rates == {"precision": (0.75, 4), "recall": (0.75, 4), "agreement": (0.8, 10)}
    false_positives = quality["false_positive_rate"]
    assert (false_positives["value"], false_positives["clips"]) == (pytest.approx(1 / 6), 6)
    assert false_positives["low"] < 1 / 6 < false_positives["high"]
    late = {"created_after": "2100-01-01T00:00:00Z"}
    assert api.get("/v1/quality", params=late).json() == {"items": []}
    other = make_key(Scope.JOBS_READ, tenant="other")
    assert keyless_api.get("/v1/quality", headers=other).json() == {"items": []}
