"""Exit codes of ``unmask scan``."""

import pytest

from app.cli.exit_codes import FailOn
from app.core.enums import RecommendedAction, Verdict


@pytest.mark.parametrize(
    ("fail_on", "verdict", "action", "is_met"),
    [
        (FailOn.SUSPICIOUS, Verdict.SUSPICIOUS, RecommendedAction.ALLOW, True),
        (FailOn.SUSPICIOUS, Verdict.MANIPULATED, RecommendedAction.ALLOW, True),
        (FailOn.SUSPICIOUS, Verdict.AUTHENTIC, RecommendedAction.REVIEW, False),
        (FailOn.MANIPULATED, Verdict.SUSPICIOUS, RecommendedAction.BLOCK, False),
        (FailOn.REVIEW, Verdict.NOT_EVALUATED, RecommendedAction.REVIEW, True),
        (FailOn.REVIEW, Verdict.MANIPULATED, RecommendedAction.BLOCK, True),
        (FailOn.BLOCK, Verdict.MANIPULATED, RecommendedAction.REVIEW, False),
        (FailOn.BLOCK, None, None, False),
    ],
)
def test_job_meets_its_verdict_or_action_and_weaker_ones(
    fail_on: FailOn, verdict: Verdict | None, action: RecommendedAction | None, is_met: bool
) -> None:
    assert fail_on.is_met_by(verdict, action) is is_met
