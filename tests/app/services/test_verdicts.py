"""Verdicts: thresholds of a policy from the rates of a calibration."""

from uuid import UUID

import pytest

from app.core.enums import Verdict
from app.db.tables.policies import Policy
from app.schemas.policies import Calibration
from app.services import verdicts
from tests.support.factories import LOOSE_POLICY, STRICT_POLICY, make_attempt_result, make_calibration


@pytest.mark.parametrize(
    ("rate", "threshold", "applied_rate"),
    [(0.01, 0.9, 0.01), (0.04, 0.9, 0.01), (0.05, 0.6, 0.05), (0.001, 0.9, 0.01)],
)
def test_rate_between_two_operating_points_selects_the_stricter(
    rate: float, threshold: float, applied_rate: float
) -> None:
    changed = STRICT_POLICY | {"suspicious_false_positive_rate": rate}
    policy = Policy(**changed, actions={}, version=1, id=UUID(int=1))
    applied = verdicts.apply_policy(policy, make_calibration())
    assert (applied.suspicious_at, applied.suspicious_false_positive_rate) == (threshold, applied_rate)


def test_uncalibrated_model_keeps_its_own_thresholds() -> None:
    guess: Calibration = make_calibration(
        calibrated=False, operating_points=[], suspicious_false_positive_rate=None, manipulated_false_positive_rate=None
    )
    policy = Policy(**LOOSE_POLICY, actions={}, version=1, id=UUID(int=1))
    decided = verdicts.decide(make_attempt_result(probability=0.3).payload, guess, policy)
    assert decided["verdict"] is Verdict.AUTHENTIC
    assert decided["policy"]["suspicious_false_positive_rate"] is None
