"""Verdicts: thresholds of a policy from the rates of a calibration, evidence, segments, warnings."""

from typing import Any
from uuid import UUID

import pytest

from app.core.calibration import OperatingCurve, TargetRates
from app.core.enums import Verdict
from app.db.tables.policies import Policy
from app.schemas.calibrations import Calibration
from app.services import verdicts
from app.services.verdicts import ActiveCalibration
from tests.support.factories import STRICT_POLICY, make_calibration, make_curve, make_finding

SMALL = make_calibration(make_curve([(0.95, 0, 0.3), (0.6, 0.05, 0.9), (0, 1, 1)], reals=100), model="small")
"""The lowest rate that 100 clips can show is 3 %."""


def make_policy(**rates: Any) -> Policy:
    return Policy(**STRICT_POLICY | rates, actions={}, version=1, id=UUID(int=1))


def decide(*probabilities: float | None, policy: Policy | None = None, **calibration: Any) -> dict[str, Any]:
    payload = make_finding(*probabilities).model_dump(mode="json")
    return verdicts.decide(payload, ActiveCalibration(calibration.get("calibration", make_calibration())), policy)


@pytest.mark.parametrize(
    ("probability", "verdict", "evidence", "margin"),
    [
        (0.9, Verdict.MANIPULATED, "substantial evidence of manipulation", 1.79),
        (0.6, Verdict.SUSPICIOUS, "some evidence of manipulation", 0.0),
        (0.5, Verdict.INCONCLUSIVE, "not enough evidence either way", -0.41),
        (0.39, Verdict.AUTHENTIC, "little evidence of manipulation", -0.85),
    ],
)
def test_verdict_has_its_evidence_margin_and_rate(
    probability: float, verdict: Verdict, evidence: str, margin: float
) -> None:
    decided = decide(probability)
    assert (decided["verdict"], decided["evidence"]) == (verdict, evidence)
    assert decided["margin"] == pytest.approx(margin, abs=0.01)
    rate = decided["false_positive_rate"]
    assert rate["clips"] == 400
    assert rate["low"] < rate["value"] < rate["high"]
    assert decided["warnings"] == []


def test_clip_without_a_score_names_its_reasons_and_has_no_numbers() -> None:
    payload = make_finding(None).model_dump(mode="json")
    payload["reasons"] = [{"code": "no_face", "detail": "No face was found."}]
    decided = verdicts.decide(payload, ActiveCalibration(make_calibration()), None)
    assert decided["evidence"] == "could not be evaluated: No face was found."
    assert (decided["margin"], decided["false_positive_rate"], decided["segments"]) == (None, None, [])
    assert (decided["verdict"], decided["recommended_action"]) == (Verdict.NOT_EVALUATED, "review")


@pytest.mark.parametrize(("rate", "threshold"), [(0.01, 0.9), (0.04, 0.9), (0.05, 0.6)])
def test_rate_between_two_operating_points_selects_the_stricter(rate: float, threshold: float) -> None:
    thresholds = decide(0.3, policy=make_policy(suspicious_false_positive_rate=rate))["thresholds"]
    assert (thresholds["suspicious_at"], thresholds["suspicious_false_positive_rate"]) == (threshold, rate)


def test_rate_that_the_calibration_cannot_show_gets_the_strictest_threshold_and_one_warning() -> None:
    strict = make_policy(suspicious_false_positive_rate=0.01)
    decided = decide(0.7, policy=strict, calibration=SMALL)
    assert decided["thresholds"]["suspicious_at"] == decided["thresholds"]["manipulated_at"] == 0.95
    assert decided["thresholds"]["suspicious_false_positive_rate"] == pytest.approx(0.03)
    for _ in range(2):
        (warning,) = decided["warnings"]
        assert warning["code"] == "rate_not_shown"
        assert "100 real clips of the calibration of small 1 can show 3.00%" in warning["detail"]
        decided = verdicts.decide(decided, ActiveCalibration(SMALL), strict)
    possible = make_policy(suspicious_false_positive_rate=0.05, manipulated_false_positive_rate=0.04)
    assert verdicts.decide(decided, ActiveCalibration(SMALL), possible)["warnings"] == []
    assert decide(0.7, calibration=SMALL)["warnings"] == []  # the model's own rates are the lowest it can show


def test_several_people_share_the_rate_of_the_clip() -> None:
    one, two, ten = (decide(0.7, *[0.1] * more) for more in (0, 1, 9))
    assert (one["verdict"], two["verdict"], ten["verdict"]) == ("SUSPICIOUS", "INCONCLUSIVE", "INCONCLUSIVE")
    assert two["thresholds"]["suspicious_at"] == 0.9  # 2.5 % each
    assert two["false_positive_rate"]["value"] == pytest.approx(1 - 0.95**2)
    assert ten["thresholds"]["suspicious_at"] == 0.95
    assert "for 10 tracks" in ten["warnings"][0]["detail"]
    assert [track["verdict"] for track in two["tracks"]] == ["INCONCLUSIVE", "AUTHENTIC"]


def test_neighbouring_windows_with_the_same_verdict_are_a_segment() -> None:
    payload = make_finding(0.7).model_dump(mode="json")
    (track,) = payload["tracks"]
    track["windows"] = [
        {"window": number, "start_seconds": 5.0 * number, "end_seconds": 5.0 * number + 0.3, "usable_frames": 8,
         "probability": probability}
        for number, probability in enumerate([0.1, 0.1, 0.95, 0.97, 0.1])
    ]  # fmt: skip
    segments = verdicts.decide(payload, ActiveCalibration(make_calibration()), None)["segments"]
    assert [(one["start_seconds"], one["end_seconds"], one["verdict"]) for one in segments] == [
        (0.0, 5.3, "AUTHENTIC"),
        (10.0, 15.3, "MANIPULATED"),
        (20.0, 20.3, "AUTHENTIC"),
    ]
    del track["windows"][1]
    gap = verdicts.decide(payload, ActiveCalibration(make_calibration()), None)["segments"]
    assert [(one["start_seconds"], one["end_seconds"]) for one in gap] == [(0.0, 0.3), (10.0, 15.3), (20.0, 20.3)]
    track["windows"] = [track["windows"][0], track["windows"][3]]  # both AUTHENTIC, but the person was away between
    apart = verdicts.decide(payload, ActiveCalibration(make_calibration()), None)["segments"]
    assert [one["start_seconds"] for one in apart] == [0.0, 20.0]
    assert segments[1]["duration_seconds"] == pytest.approx(5.3)
    assert 0.95 < segments[1]["probability"] < 0.97


def test_uncalibrated_model_promises_nothing_and_says_so() -> None:
    uncalibrated = make_calibration(OperatingCurve())
    decided = decide(0.3, policy=make_policy(), calibration=uncalibrated)
    assert decided["verdict"] is Verdict.INCONCLUSIVE
    assert decided["thresholds"]["suspicious_false_positive_rate"] is None
    assert decided["false_positive_rate"] is None
    (warning,) = decided["warnings"]
    assert "is not calibrated" in warning["detail"]
    assert decide(0.3, calibration=uncalibrated)["warnings"] == []


def test_policy_keeps_the_miss_rate_of_the_calibration() -> None:
    calibration = make_calibration()
    strict = Calibration.make("m", "1", TargetRates(clear_miss_rate=0.075), calibration.curve)
    for policy in (None, make_policy(suspicious_false_positive_rate=0.05)):
        assert decide(0.3, policy=policy, calibration=strict)["thresholds"]["clear_at"] == 0.2
